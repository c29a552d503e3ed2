//! Pipelines as a graph, in the language of Graphviz.

use std::fmt::Write as _;

use super::actions::{Otherwise, Told};
use crate::{
    config::{self, PathOrGlob},
    connector::Processor,
    pipeline::{Delivery, Destination},
    plan::PlannedPipeline,
    sandbox::output::printable,
};

/// All pipelines as one graph, each in a box of its own: the same text for the same file.
pub fn dot(pipelines: &[PlannedPipeline]) -> String {
    let mut graph = Graph(String::new());
    graph.line(0, "digraph wharf {");
    graph.line(1, "rankdir=LR;");
    graph.line(1, "node [shape=box];");
    for pipeline in pipelines {
        graph.pipeline(pipeline);
    }
    graph.line(0, "}");
    graph.0
}

struct Graph(String);

impl Graph {
    fn pipeline(&mut self, pipeline: &PlannedPipeline) {
        let PlannedPipeline { id, source, dead_letters, processors, destinations, .. } = pipeline;
        self.line(1, &format!("subgraph {} {{", quoted([&format!("cluster_{id}")])));
        self.line(2, &format!("label={};", quoted([&**id])));
        let letters = format!("{id}/dead-letters");
        let start = format!("{id}/source");
        self.node(&start, &lines_of(&source.value), "shape=cylinder");
        // What the host itself makes can be read, all of it.
        let reads = !matches!(source.value, config::Source::Generator(_) | config::Source::DeadLetters(_));
        if reads {
            self.given_up(&start, &letters);
        }
        let end = self.chain(start, processors, (&format!("{id}/processor"), &letters));
        for of in destinations {
            let (told, Destination { id: destination, connector, delivery, processors, .. }) = (Told::of(of), of);
            let name = format!("{id}/destination/{destination}");
            let end = self.chain(end.clone(), processors, (&format!("{name}/processor"), &letters));
            let mut label = vec![destination.to_string(), connector.title()];
            let Delivery { lanes, best_effort, .. } = *delivery;
            label.extend((lanes > 1).then(|| format!("{lanes} instances")));
            label.extend(best_effort.then(|| "best effort".to_owned()));
            self.node(&name, &label, if best_effort { "shape=box3d, style=dashed" } else { "shape=box3d" });
            self.edge(&end, &name, "");
            self.given_up(&name, &letters);
            self.actions(&name, &told, &letters);
        }
        self.node(&letters, &["dead letters".to_owned()], "shape=note");
        if let Some(copy) = &dead_letters.copy_to {
            let name = format!("{id}/dead-letters/copy");
            self.node(&name, &["copy".to_owned(), copy.value.display().to_string()], "shape=note");
            self.edge(&letters, &name, "style=dashed");
        }
        self.line(1, "}");
    }

    /// The actions of a destination, and which records go to which.
    fn actions(&mut self, destination: &str, told: &Told, letters: &str) {
        if told.is_plain() {
            return;
        }
        let node = |action: &str| format!("{destination}/action/{action}");
        for action in &told.actions {
            let label = [action.name.clone(), action.words()].into_iter().filter(|line| !line.is_empty());
            self.node(&node(&action.name), &label.collect::<Vec<_>>(), "shape=component");
        }
        for (when, action) in &told.routes {
            let label = when.as_ref().map(|when| format!("label={}", quoted([format!("when {when}")])));
            self.edge(destination, &node(action), &label.unwrap_or_default());
        }
        // What a route without a condition takes, nothing is left of.
        if told.routes.last().is_some_and(|(when, _)| when.is_none()) {
            return;
        }
        let otherwise = if told.routes.is_empty() { "" } else { "label=\"otherwise\"" };
        match &told.otherwise {
            Otherwise::To(action) => self.edge(destination, &node(action), otherwise),
            Otherwise::Filter => {
                let name = format!("{destination}/filtered");
                self.node(&name, &["filtered".to_owned()], "shape=plain");
                self.edge(destination, &name, otherwise);
            }
            Otherwise::DeadLetter => self.edge(destination, letters, "label=\"otherwise\", style=dotted, constraint=false"),
        }
    }

    /// Processors one after the other, behind a node. Gives the last node.
    fn chain(&mut self, mut end: String, processors: &[Processor], (prefix, letters): (&str, &str)) -> String {
        for Processor { id, connector, when, .. } in processors {
            let name = format!("{prefix}/{id}");
            let mut label = vec![id.to_string(), connector.title()];
            label.extend(when.as_ref().map(|when| format!("when {when}")));
            self.node(&name, &label, "style=rounded");
            self.edge(&end, &name, "");
            self.given_up(&name, letters);
            end = name;
        }
        end
    }

    fn node(&mut self, name: &str, label: &[String], attributes: &str) {
        self.line(2, &format!("{} [label={}, {attributes}];", quoted([name]), quoted(label)));
    }

    fn edge(&mut self, from: &str, to: &str, attributes: &str) {
        let attributes = if attributes.is_empty() { String::new() } else { format!(" [{attributes}]") };
        self.line(2, &format!("{} -> {}{attributes};", quoted([from]), quoted([to])));
    }

    /// Where records that are given up go: that is not what the order of the nodes is drawn by.
    fn given_up(&mut self, from: &str, letters: &str) {
        self.edge(from, letters, "style=dotted, constraint=false");
    }

    fn line(&mut self, depth: usize, text: &str) {
        // Writing to memory does not fail.
        let _written = writeln!(self.0, "{:indent$}{text}", "", indent = 2 * depth);
    }
}

/// What a source is, in words.
fn lines_of(source: &config::Source) -> Vec<String> {
    match source {
        config::Source::File(file) => {
            let path = match &file.path.value {
                PathOrGlob::Path(path) => path.display().to_string(),
                PathOrGlob::Glob(pattern) => pattern.clone(),
            };
            let mut lines = vec!["file".to_owned(), path];
            lines.extend(file.follow.then(|| "followed".to_owned()));
            lines
        }
        config::Source::Stdin(_) => vec!["stdin".to_owned()],
        config::Source::Generator(generator) => vec!["generator".to_owned(), format!("{} records", generator.count)],
        config::Source::DeadLetters(letters) => vec!["dead letters".to_owned(), format!("of {}", letters.of)],
    }
}

/// Lines as a quoted string: nothing in them can end it, nor be taken for one of the escapes that Graphviz knows.
fn quoted<T: AsRef<str>>(lines: impl IntoIterator<Item = T>) -> String {
    let mut quoted = String::from("\"");
    for (index, line) in lines.into_iter().enumerate() {
        if index > 0 {
            quoted.push_str("\\n");
        }
        for character in printable(line.as_ref(), false).chars() {
            if matches!(character, '"' | '\\') {
                quoted.push('\\');
            }
            quoted.push(character);
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_in_a_name_ends_the_string_that_it_stands_in() {
        assert_eq!(quoted(["a\"]; evil [x=\"", "\\N b\\"]), r#""a\"]; evil [x=\"\n\\N b\\""#);
        assert_eq!(quoted(["one\ntwo\u{1b}"]), r#""one\\u{a}two\\u{1b}""#);
    }
}
