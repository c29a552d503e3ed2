//! What an answer says of each record.

use wharf_json::{Json, Kind, Pointer, pointer};
use wharf_sdk::Problem;

use super::settings::AnswerConfig;

/// Where an answer says what became of each record.
#[derive(Clone, Debug)]
pub struct Items {
    items: Pointer,
    index: Option<Pointer>,
    status: Option<Pointer>,
    error: Option<Pointer>,
}

/// What an answer says of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its status, where the answer has one.
    pub status: Option<u16>,
    /// What went wrong, where something did.
    pub error: Option<String>,
}

impl Items {
    /// What the settings say; `None` where they say nothing of items.
    pub fn new(config: &AnswerConfig, problems: &mut Vec<Problem>) -> Option<Self> {
        let AnswerConfig { items, index, status, error } = config;
        let mut read =
            |name: &str, text: &Option<String>| text.as_deref().map(|text| pointer(&format!("answer.{name}"), text, problems));
        let (index, status, error) = (read("index", index), read("status", status), read("error", error));
        let items = read("items", items);
        if items.is_none() && (index.is_some() || status.is_some() || error.is_some()) {
            problems.push(Problem::new("answer.items", "is missing: it says where the elements are that the others point into"));
        }
        if items.is_some() && status.is_none() && error.is_none() && index.is_none() {
            problems.push(Problem::new("answer.items", "needs `answer.status`, `answer.error` or `answer.index` beside it"));
        }
        Some(Self { items: items?, index, status, error })
    }

    /// What an answer to so many records says of each; `None` for one that it says nothing bad of.
    ///
    /// # Errors
    /// Where the answer is not as the settings have it: nothing is known of any record.
    pub fn read(&self, answer: &[u8], records: usize) -> Result<Vec<Option<Item>>, String> {
        let mut answer = Json::parse(answer).map_err(|fault| format!("the answer is {fault}"))?;
        let mut said = vec![None; records];
        let Some(items) = answer.get(&self.items) else {
            return match self.index {
                // Nothing to tell of any.
                Some(_) => Ok(said),
                None => Err(format!("the answer has nothing at `{}` (answer.items)", self.items)),
            };
        };
        let kind = items.kind();
        let Some(items) = items.elements() else {
            return match (kind, &self.index) {
                (Kind::Null, Some(_)) => Ok(said),
                _ => Err(format!("the answer has {kind} at `{}` instead of an array (answer.items)", self.items)),
            };
        };
        if self.index.is_none() && items.len() != records {
            return Err(format!(
                "the answer has {} elements at `{}`, and the request had {records} records",
                items.len(),
                self.items
            ));
        }
        for (at, item) in items.iter_mut().enumerate() {
            let record = match &self.index {
                None => at,
                Some(index) => {
                    let found = item.get(index).and_then(|value| value.as_text().parse::<usize>().ok());
                    let inside = found.filter(|record| *record < records);
                    inside.ok_or_else(|| {
                        format!("element {at} of the answer says at `{index}` no record of the {records} (answer.index)")
                    })?
                }
            };
            let status = self.status.as_ref().and_then(|pointer| find(item, pointer.steps())?.as_text().parse().ok());
            let error = self.error.as_ref().and_then(|pointer| {
                let value = find(item, pointer.steps())?;
                let text = value.as_text();
                (!matches!(&*text, "" | "null" | "false" | "[]" | "{}")).then(|| text.into_owned())
            });
            // An element that is there for a record only where something went wrong says so by being there.
            let error = error.or_else(|| (self.index.is_some() && status.is_none()).then(|| item.to_string()));
            said[record] = Some(Item { status, error });
        }
        Ok(said)
    }
}

/// The value at a place where `*` is any one member.
fn find<'v, 'a>(value: &'v mut Json<'a>, steps: &[String]) -> Option<&'v mut Json<'a>> {
    let Some((step, rest)) = steps.split_first() else { return Some(value) };
    let next = match step.as_str() {
        "*" if value.kind() == Kind::Object => &mut value.members()?.first_mut()?.1,
        "*" => value.elements()?.first_mut()?,
        step => value.step(step)?,
    };
    find(next, rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn items(index: Option<&str>, status: Option<&str>, error: Option<&str>) -> Items {
        let text = |text: Option<&str>| text.map(str::to_owned);
        let config = AnswerConfig { items: Some("/items".into()), index: text(index), status: text(status), error: text(error) };
        Items::new(&config, &mut Vec::new()).unwrap()
    }

    fn item(status: Option<u16>, error: Option<&str>) -> Option<Item> {
        Some(Item { status, error: error.map(str::to_owned) })
    }

    #[test]
    fn a_bulk_answer_has_an_element_for_each_record() {
        let answer = br#"{"took":3,"errors":true,"items":[
            {"index":{"_id":"1","status":201}},
            {"delete":{"_id":"2","status":404,"error":null}},
            {"index":{"_id":"3","status":400,"error":{"type":"mapper_parsing_exception","reason":"failed to parse"}}}]}"#;
        let items = items(None, Some("/*/status"), Some("/*/error/reason"));
        let expected = vec![item(Some(201), None), item(Some(404), None), item(Some(400), Some("failed to parse"))];
        assert_eq!(items.read(answer, 3), Ok(expected));
        assert_eq!(items.read(answer, 4).unwrap_err(), "the answer has 3 elements at `/items`, and the request had 4 records");
        assert!(items.read(b"ok", 1).unwrap_err().starts_with("the answer is no"), "{:?}", items.read(b"ok", 1));
        assert_eq!(items.read(b"{}", 1).unwrap_err(), "the answer has nothing at `/items` (answer.items)");
        assert_eq!(
            items.read(br#"{"items":3}"#, 1).unwrap_err(),
            "the answer has a number at `/items` instead of an array (answer.items)"
        );
    }

    #[test]
    fn an_answer_may_speak_of_those_alone_that_failed() {
        let items = items(Some("/row"), None, Some("/why"));
        let answer = br#"{"items":[{"row":1,"why":"too old"},{"row":"0"}]}"#;
        assert_eq!(items.read(answer, 3), Ok(vec![item(None, Some(r#"{"row":"0"}"#)), item(None, Some("too old")), None]));
        assert_eq!(items.read(b"{}", 2), Ok(vec![None, None]));
        assert_eq!(items.read(br#"{"items":null}"#, 1), Ok(vec![None]));
        assert!(items.read(br#"{"items":[{"row":3}]}"#, 3).unwrap_err().contains("no record of the 3"));
    }
}
