//! The text that metrics are told in: Prometheus' text format, version 0.0.4, which all that scrapes reads.

use std::fmt::{self, Write as _};

/// Content type of the text.
pub(super) const CONTENT_TYPE: &str = "text/plain; version=0.0.4; charset=utf-8";

/// What a metric is, in Prometheus' words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// It never falls while the process lives.
    Counter,
    /// It rises and falls.
    Gauge,
    /// How values are spread.
    Histogram,
}

impl Kind {
    /// As it stands in the text.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Counter => "counter",
            Self::Gauge => "gauge",
            Self::Histogram => "histogram",
        }
    }
}

macro_rules! metrics {
    ($($metric:ident $name:literal $kind:ident [$($label:literal),*] $help:literal;)*) => {
        /// A metric that the host tells.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Metric {
            $(#[doc = $help] $metric,)*
        }

        impl Metric {
            /// All of them, in the order in which they are told.
            pub const ALL: &[Self] = &[$(Self::$metric,)*];

            /// Its name.
            pub const fn name(self) -> &'static str {
                match self { $(Self::$metric => $name,)* }
            }

            /// What it is.
            pub const fn kind(self) -> Kind {
                match self { $(Self::$metric => Kind::$kind,)* }
            }

            /// The names of its labels. One that does not apply is left out.
            pub const fn labels(self) -> &'static [&'static str] {
                match self { $(Self::$metric => &[$($label),*],)* }
            }

            /// What it tells, in a sentence.
            pub const fn help(self) -> &'static str {
                match self { $(Self::$metric => $help,)* }
            }
        }
    };
}

metrics! {
    Build "wharf_build_info" Gauge ["version"] "Always 1; the version of the host is the label.";
    Run "wharf_run_seconds" Gauge [] "How long this run has lasted.";
    Compiled "wharf_components_compiled_total" Counter [] "Components that were compiled.";
    Cached "wharf_components_cached_total" Counter [] "Components whose code was in the cache.";
    State "wharf_pipeline_state" Gauge ["pipeline", "state"] "1 for the state that the pipeline is in, 0 for all others.";
    Failed "wharf_pipeline_failed" Gauge ["pipeline"] "1 where the pipeline's last start ended in an error.";
    Stalled "wharf_pipeline_stalled" Gauge ["pipeline"] "1 where nothing is acknowledged, or nothing goes on that has a spool, since the data directory cannot be written to.";
    Restarts "wharf_pipeline_restarts_total" Counter ["pipeline"] "How often the pipeline was started again after an error.";
    Read "wharf_records_read_total" Counter ["pipeline"] "Records read from the source for the first time.";
    Carried "wharf_records_carried_total" Counter ["pipeline"] "Records read again, which an earlier start had left pending.";
    Delivered "wharf_records_delivered_total" Counter ["pipeline", "destination"] "Records delivered.";
    Warned "wharf_records_warned_total" Counter ["pipeline", "destination"] "Of the delivered, those with a remark.";
    Filtered "wharf_records_filtered_total" Counter ["pipeline", "destination"] "Records dropped on purpose.";
    DeadLettered "wharf_records_dead_lettered_total" Counter ["pipeline", "destination"] "Records given up.";
    Pending "wharf_records_pending" Gauge ["pipeline", "destination"] "Records read and not settled.";
    Unknown "wharf_records_unknown" Gauge ["pipeline", "destination"] "Of the pending, those that the connector did not answer for.";
    Bytes "wharf_delivered_bytes_total" Counter ["pipeline", "destination"] "Bytes of what was delivered.";
    Retries "wharf_retries_total" Counter ["pipeline", "destination"] "Parts of batches that were sent again.";
    FollowUps "wharf_follow_ups_total" Counter ["pipeline", "destination"] "Follow-ups that were put into the spool.";
    FollowUpsCut "wharf_follow_ups_cut_total" Counter ["pipeline", "destination"] "Follow-ups that did not come to be, since their causes lie as deep as may be.";
    Lag "wharf_lag_seconds" Gauge ["pipeline", "destination"] "Age of the oldest record that was read and is not dealt with; 0 where there is none. What a spool has taken is dealt with in this sense: wharf_spool_oldest_seconds tells its oldest.";
    SpoolRecords "wharf_spool_records" Gauge ["pipeline", "destination", "state"] "Records in the spool that have reached no end, by state.";
    SpoolBytes "wharf_spool_bytes" Gauge ["pipeline", "destination"] "What they take, as it counts against spool.max-bytes.";
    SpoolLimit "wharf_spool_limit_bytes" Gauge ["pipeline", "destination"] "What they may take. A spool that is full has its source wait.";
    SpoolOldest "wharf_spool_oldest_seconds" Gauge ["pipeline", "destination"] "For how long the oldest batch is in the spool of which a record has reached no end; 0 where there is none.";
    SpoolNext "wharf_spool_next_seconds" Gauge ["pipeline", "destination", "action"] "How long until what waits for the action goes out next, as its schedule and its retries say; 0 where it is time, and nothing is told where nothing waits.";
    Uploads "wharf_uploads" Gauge ["pipeline", "destination", "state"] "Uploads that are not settled, by state; one that is held waits for a person.";
    Paused "wharf_destination_paused" Gauge ["pipeline", "destination"] "1 where the destination takes no records.";
    Waiting "wharf_destination_waiting" Gauge ["pipeline", "destination"] "1 where the far side is down and what the destination is to get waits.";
    Letters "wharf_dead_letters" Gauge ["pipeline", "destination"] "Dead letters in the store; without a destination those given up for all.";
    LetterBytes "wharf_dead_letters_bytes" Gauge ["pipeline", "destination"] "What they take, as it counts against dead-letters.max-bytes.";
    Component "wharf_component_info" Gauge ["pipeline", "destination", "processor", "connector"] "Always 1; name and version of the connector are a label.";
    CallSeconds "wharf_call_seconds" Histogram ["pipeline", "destination", "processor", "call"] "How long calls into the component took.";
    CallFuel "wharf_call_fuel" Histogram ["pipeline", "destination", "processor", "call"] "What they computed, in units of fuel.";
    Instances "wharf_instances" Gauge ["pipeline", "destination", "processor"] "Instances of the component.";
    Started "wharf_instances_started_total" Counter ["pipeline", "destination", "processor"] "Instances that were started.";
    Ended "wharf_instances_ended_total" Counter ["pipeline", "destination", "processor"] "Instances that a call ended, by a trap or at a limit.";
    Memory "wharf_instance_memory_bytes" Gauge ["pipeline", "destination", "processor"] "Memory that all its instances hold, as of the last call of each.";
    MemoryPeak "wharf_instance_memory_peak_bytes" Gauge ["pipeline", "destination", "processor"] "The most memory that one instance held.";
    MemoryLimit "wharf_instance_memory_limit_bytes" Gauge ["pipeline", "destination", "processor"] "The most memory that one instance may hold.";
    Events "wharf_component_events_total" Counter ["pipeline", "destination", "processor", "event"] "What the component tried and was allowed, refused, or had dropped.";
    Counted "wharf_connector_count_total" Counter ["pipeline", "destination", "processor", "name"] "What the connector counts itself.";
    Gauge "wharf_connector_gauge" Gauge ["pipeline", "destination", "processor", "name"] "What the connector gauges itself: the last value.";
    Observed "wharf_connector_observations_total" Counter ["pipeline", "destination", "processor", "name"] "How many values the connector observed.";
    ObservedSum "wharf_connector_observed_sum" Gauge ["pipeline", "destination", "processor", "name"] "Their sum, which falls where values are negative.";
    ObservedMin "wharf_connector_observed_min" Gauge ["pipeline", "destination", "processor", "name"] "The least of them.";
    ObservedMax "wharf_connector_observed_max" Gauge ["pipeline", "destination", "processor", "name"] "The most of them.";
}

/// Labels of a sample; empty ones are left out.
pub(super) type Labels<'a> = &'a [(&'a str, &'a str)];

/// Samples as they are gathered, by metric.
#[derive(Debug)]
pub(super) struct Exposition(Vec<String>);

impl Exposition {
    pub fn new() -> Self {
        Self(vec![String::new(); Metric::ALL.len()])
    }

    /// Adds a sample.
    pub fn add(&mut self, metric: Metric, labels: Labels<'_>, value: impl fmt::Display) {
        self.line(metric, "", labels, None, value);
    }

    /// Adds a histogram: counts up to each bound and above the one before, how many values there are, and their sum.
    pub fn histogram(
        &mut self,
        metric: Metric,
        labels: Labels<'_>,
        buckets: impl Iterator<Item = (f64, u64)>,
        count: u64,
        sum: f64,
    ) {
        let mut below = 0;
        for (bound, more) in buckets {
            below += more;
            self.line(metric, "_bucket", labels, Some(&bound.to_string()), below);
        }
        self.line(metric, "_bucket", labels, Some("+Inf"), count);
        self.line(metric, "_sum", labels, None, sum);
        self.line(metric, "_count", labels, None, count);
    }

    /// The text.
    pub fn text(&self) -> String {
        let mut text = String::with_capacity(self.0.iter().map(|samples| samples.len() + 200).sum());
        for (metric, samples) in Metric::ALL.iter().zip(&self.0) {
            let (name, kind, help) = (metric.name(), metric.kind().name(), metric.help());
            // Writing to memory does not fail.
            let _written = write!(text, "# HELP {name} {help}\n# TYPE {name} {kind}\n{samples}");
        }
        text
    }

    fn line(&mut self, metric: Metric, suffix: &str, labels: Labels<'_>, le: Option<&str>, value: impl fmt::Display) {
        let Some(samples) = self.0.get_mut(metric as usize) else { return };
        samples.push_str(metric.name());
        samples.push_str(suffix);
        let labels = labels.iter().copied().filter(|(_, value)| !value.is_empty()).chain(le.map(|le| ("le", le)));
        let mut between = '{';
        for (name, value) in labels {
            samples.push(between);
            samples.push_str(name);
            samples.push_str("=\"");
            for character in value.chars() {
                match character {
                    '\n' => samples.push_str("\\n"),
                    '"' | '\\' => samples.extend(['\\', character]),
                    _ => samples.push(character),
                }
            }
            samples.push('"');
            between = ',';
        }
        if between == ',' {
            samples.push('}');
        }
        let _written = writeln!(samples, " {value}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_stand_below_what_their_metric_is_and_nothing_in_a_label_ends_it() {
        let mut exposition = Exposition::new();
        exposition.add(Metric::Read, &[("pipeline", "shop")], 7);
        exposition.add(Metric::Counted, &[("pipeline", "shop"), ("processor", ""), ("name", "a\"} 1\n\\")], 1);
        let spread = [(0.5, 2), (1.0, 0), (30.0, 1)];
        exposition.histogram(Metric::CallSeconds, &[("call", "write")], spread.into_iter(), 4, 61.5);
        let text = exposition.text();
        assert!(text.contains("# TYPE wharf_records_read_total counter\nwharf_records_read_total{pipeline=\"shop\"} 7\n# HELP "));
        assert!(text.contains("\nwharf_connector_count_total{pipeline=\"shop\",name=\"a\\\"} 1\\n\\\\\"} 1\n"), "{text}");
        let expected = "# TYPE wharf_call_seconds histogram
wharf_call_seconds_bucket{call=\"write\",le=\"0.5\"} 2
wharf_call_seconds_bucket{call=\"write\",le=\"1\"} 2
wharf_call_seconds_bucket{call=\"write\",le=\"30\"} 3
wharf_call_seconds_bucket{call=\"write\",le=\"+Inf\"} 4
wharf_call_seconds_sum{call=\"write\"} 61.5
wharf_call_seconds_count{call=\"write\"} 4
";
        assert!(text.contains(expected), "{text}");
    }

    #[test]
    fn names_are_as_prometheus_has_them() {
        for (index, metric) in Metric::ALL.iter().enumerate() {
            let name = metric.name();
            assert_eq!(*metric as usize, index);
            assert!(name.starts_with("wharf_") && name.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{name}");
            assert_eq!(name.ends_with("_total"), metric.kind() == Kind::Counter, "{name}");
            assert!(!metric.help().contains(['\n', '\\']) && metric.help().ends_with('.'), "{name}");
            assert_eq!(Metric::ALL.iter().filter(|other| other.name() == name).count(), 1);
        }
    }

    /// The page for operators has all of them, as they are, and no others.
    #[test]
    fn the_manual_has_every_metric_and_no_other() {
        let manual = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/operating.md")).unwrap();
        let table = manual.lines().skip_while(|line| !line.starts_with("| metric | kind |")).skip(2);
        let documented: Vec<&str> = table.take_while(|line| line.starts_with('|')).collect();
        let expected: Vec<String> = Metric::ALL
            .iter()
            .map(|metric| {
                let labels: Vec<String> = metric.labels().iter().map(|label| format!("`{label}`")).collect();
                format!("| `{}` | {} | {} | {} |", metric.name(), metric.kind().name(), labels.join(", "), metric.help())
            })
            .collect();
        assert_eq!(documented, expected);
    }
}
