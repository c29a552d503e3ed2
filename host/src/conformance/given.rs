//! What a suite file gives, held against what the component says of itself before any case is tried.

use std::{collections::BTreeMap, path::Path};

use super::{error::Mistake, mistaken};
use crate::{
    config::{self, At, Id, Limits, Place, Suite, SuiteRead, SuiteText},
    connector::{
        Connector, Loader, Opening,
        binary::Outline,
        descriptor::Parameter,
        settings::{Given, Problem, complete},
    },
    plan::{Alone, PlanError, alone},
};

/// A suite file that was read, and all that is wrong with it.
pub(super) struct Held {
    pub suite: Suite,
    pub mistakes: Vec<Mistake>,
    /// Keys that something is wrong with.
    spoilt: Vec<String>,
    /// Where settings and grants stand, or should; none without a suite file.
    places: Option<(Place, Place)>,
}

impl Held {
    /// Reads the rest of the file. Without one, nothing is given.
    pub fn read(text: Option<SuiteText>, env: &dyn Fn(&str) -> Option<String>) -> Self {
        let Some(text) = text else {
            return Self { suite: Suite::default(), mistakes: Vec::new(), spoilt: Vec::new(), places: None };
        };
        let places = Some((text.place("settings").clone(), text.place("grants").clone()));
        let SuiteRead { suite, wrong, spoilt } = text.read(env);
        let mut mistakes: Vec<Mistake> = wrong.into_iter().map(Mistake::from).collect();
        mistakes.extend(suite.skip.iter().filter_map(|skip| mistaken(&skip.case, Some(&skip.case.place))));
        Self { suite, mistakes, spoilt, places }
    }

    fn is_good(&self, keys: &[&str]) -> bool {
        !self.spoilt.iter().any(|spoilt| keys.contains(&spoilt.as_str()))
    }

    /// What the suite sets.
    pub fn given(&self) -> BTreeMap<String, Given> {
        set(&self.suite.settings).collect()
    }

    /// Holds settings against the parameters that there are, as is done for a pipeline file.
    pub fn hold(&mut self, connector: &Connector) {
        let parameters = &connector.descriptor.parameters;
        let mut mistakes = Vec::new();
        let given = self.given();
        let block = self.places.as_ref().map(|(settings, _)| settings);
        let wrong = complete(parameters, &given).err().unwrap_or_default();
        if wrong.is_empty() && self.is_good(&["settings"]) {
            mistakes.extend(self.suite.refused.iter().filter_map(|refused| learnt(refused, parameters, &given)));
        }
        for Problem { parameter, message, hint } in wrong {
            let own = self.suite.settings.place_of(&parameter);
            // What is missing may be what could not be read.
            if own.is_none() && !self.is_good(&["settings"]) {
                continue;
            }
            let hint = match (hint, &self.places) {
                (Some(hint), None) => Some(format!("{hint}; under `settings:` in a suite file (`--suite FILE`)")),
                (hint, _) => hint,
            };
            let what = format!("{}: `{parameter}` {message}", connector.title());
            mistakes.push(Mistake { what, hint, place: own.or(block).cloned() });
        }
        mistakes.extend(self.suite.refused.iter().filter_map(|refused| named(refused, parameters)));
        self.mistakes.extend(mistakes);
    }

    /// What the component is opened with; why not, where it does not take its settings itself. What is wrong with grants is noted.
    pub async fn opened(
        &mut self,
        connector: &Connector,
        component: &Path,
        outline: &Outline,
        loader: &Loader,
        variables: &[(String, String)],
    ) -> Result<Opening, String> {
        if !self.is_good(&["settings", "grants", "limits"]) {
            return Err("the suite file is wrong".into());
        }
        let kept = complete(&connector.descriptor.parameters, &self.given()).is_ok();
        let nowhere = Place { file: "suite".into(), line: 1, column: 1 };
        let place = self.places.as_ref().map_or(&nowhere, |(_, grants)| grants);
        let id: Id = "component".parse().map_err(|_| "`component` is no id")?;
        let (id, path) = (At::new(id, place.clone()), At::new(component.to_owned(), place.clone()));
        let limits: Limits = self.suite.limits;
        let noun = if outline.offers("processor") { "processor" } else { "destination" };
        let Suite { settings, grants, .. } = &self.suite;
        let of =
            config::Component { noun, id: &id, component: &path, settings, environment: &[], grants, limits: &limits, place };
        let errors = match alone(of, connector, loader, "conform").await {
            Ok(Alone { opening, .. }) => return Ok(opening),
            Err(errors) => errors,
        };
        // What keeps the rules that it declares and is refused all the same, the component itself refuses.
        let (own, others): (Vec<_>, Vec<_>) =
            errors.iter().partition(|error| matches!(error, PlanError::Setting { .. } | PlanError::Check { .. }));
        let of_a_pipeline = format!("{noun} component: ");
        // What the run gives itself is another each time: it stands in the file by its name.
        let named = |text: &str| {
            let mut text = text.to_owned();
            variables.iter().filter(|(name, _)| !name.ends_with("_HOST") && !name.ends_with("_PORT")).for_each(
                |(name, value)| {
                    text = text.replace(value.as_str(), &format!("${{{name}}}"));
                },
            );
            text
        };
        let others = others.iter().map(|error| {
            let what = error.what();
            Mistake {
                what: named(what.strip_prefix(&of_a_pipeline).unwrap_or(&what)),
                hint: error.hint().map(|hint| named(&self.in_the_suite(&hint, noun))),
                place: error.place().filter(|_| self.places.is_some()).cloned(),
            }
        });
        let others: Vec<Mistake> = others.collect();
        self.mistakes.extend(others);
        match kept && !own.is_empty() {
            true => Err(own.iter().map(ToString::to_string).collect::<Vec<_>>().join("; ")),
            false => Err("the suite file is wrong".into()),
        }
    }

    /// What is to be written in the destination of a pipeline file goes into the suite file here.
    fn in_the_suite(&self, hint: &str, noun: &str) -> String {
        let file = if self.places.is_some() { "in the suite file" } else { "in a suite file (`--suite FILE`)" };
        hint.replace(&format!("in the {noun}"), file)
    }

    /// The suite.
    ///
    /// # Errors
    /// All that is wrong, in the order in which it stands in the file.
    pub fn sound(mut self) -> Result<Suite, Vec<Mistake>> {
        self.mistakes.sort_by(|one, other| one.place.cmp(&other.place));
        if self.mistakes.is_empty() { Ok(self.suite) } else { Err(self.mistakes) }
    }
}

fn set(settings: &config::Settings) -> impl Iterator<Item = (String, Given)> {
    let given = |setting: &config::Setting| Given { value: setting.value().into(), written: setting.written().into() };
    settings.iter().map(move |(name, setting)| (name.to_owned(), given(setting)))
}

/// What the host refuses by itself tells nothing of the component.
fn learnt(refused: &config::Refused, parameters: &[Parameter], given: &BTreeMap<String, Given>) -> Option<Mistake> {
    let mut all = given.clone();
    all.extend(set(&refused.settings));
    let Problem { parameter, message, hint } = complete(parameters, &all).err()?.into_iter().next()?;
    let place = refused.settings.place_of(&parameter).unwrap_or(&refused.names.place);
    let hint = hint.unwrap_or_else(|| "leave it out: the declared rules are tried without it".into());
    let what = format!("`{parameter}` {message}: the host refuses this by itself, and the component is not asked");
    Some(Mistake::new(what).with_hint(hint).at(Some(place)))
}

/// Holds what a refusal is to name against the parameters that there are.
fn named(refused: &config::Refused, parameters: &[Parameter]) -> Option<Mistake> {
    let name = refused.names.as_str();
    // A part of one with a `*` in its name is named by its own.
    let is_one = |parameter: &Parameter| {
        let mut parts = parameter.name.split('.');
        name.split('.').all(|part| parts.next().is_none_or(|own| own == part || own == "*"))
    };
    if parameters.iter().any(is_one) {
        return None;
    }
    let near = config::nearest(name, parameters.iter().map(|parameter| parameter.name.as_str()));
    let hint = near.map_or_else(|| "`wharf inspect` lists its parameters".into(), |near| format!("did you mean `{near}`?"));
    let what = format!("`{name}` is no parameter of the component, so that no refusal can name it");
    Some(Mistake::new(what).with_hint(hint).at(Some(&refused.names.place)))
}
