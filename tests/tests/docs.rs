//! The manual: its links lead somewhere, the tests that it names exist, and what it says that the demo prints is what the demo prints.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test fails by panicking")]

use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
};

use wharf_tests::{
    Scratch, checkout, component,
    page::{blocks, differs},
};

/// The README and every page of the manual.
fn pages() -> Vec<(PathBuf, String)> {
    let mut pages = vec![checkout().join("README.md")];
    files(&checkout().join("docs"), "md", &mut pages);
    pages.into_iter().map(|path| (path.clone(), fs::read_to_string(&path).unwrap())).collect()
}

fn files(folder: &Path, extension: &str, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let hidden = path.file_name().is_some_and(|name| name == "target" || name.to_string_lossy().starts_with('.'));
        if path.is_dir() && !hidden {
            files(&path, extension, found);
        } else if path.extension().is_some_and(|other| other == extension) {
            found.push(path);
        }
    }
}

/// The text of a page without its fenced blocks, in which nothing is a link.
fn prose(page: &str) -> String {
    let mut inside = false;
    let lines = page.lines().filter(|line| {
        let fence = line.starts_with("```");
        inside ^= fence;
        !fence && !inside
    });
    lines.collect::<Vec<_>>().join("\n")
}

#[test]
fn every_link_in_the_manual_leads_to_a_file() {
    let mut dead = Vec::new();
    let mut links = 0;
    for (path, page) in pages() {
        for (link, _) in prose(&page).split("](").skip(1).filter_map(|rest| rest.split_once(')')) {
            if link.contains("://") {
                continue;
            }
            links += 1;
            let (file, heading) = link.split_once('#').unwrap_or((link, ""));
            let target = if file.is_empty() { path.clone() } else { path.with_file_name("").join(file) };
            let found = match heading {
                "" => target.exists(),
                heading => fs::read_to_string(&target).is_ok_and(|page| headings(&page).contains(heading)),
            };
            if !found {
                dead.push(format!("{}: {link}", path.display()));
            }
        }
    }
    assert_eq!(dead, [""; 0]);
    assert!(links > 20, "the pages were not read");
}

/// What a forge calls the headings of a page.
fn headings(page: &str) -> BTreeSet<String> {
    let titles = page.lines().filter(|line| line.starts_with('#')).map(|line| line.trim_start_matches('#').trim());
    let named = titles.map(|title| {
        let kept = title.chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
        kept.collect::<String>().to_lowercase().replace(' ', "-")
    });
    named.collect()
}

#[test]
fn every_test_that_holds_a_promise_exists() {
    let mut sources = Vec::new();
    for folder in ["host", "guest-sdk", "connectors", "tests"] {
        files(&checkout().join(folder), "rs", &mut sources);
    }
    let code: String = sources.iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    for page in ["docs/promises.md", "docs/security.md"] {
        let text = fs::read_to_string(checkout().join(page)).unwrap();
        let is_test = |word: &&str| {
            word.matches('_').count() >= 3 && word.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
        };
        let named: Vec<&str> = text.split('`').skip(1).step_by(2).filter(is_test).collect();
        let missing: Vec<&&str> = named.iter().filter(|name| !code.contains(&format!("fn {name}("))).collect();
        assert!(missing.is_empty(), "{page}: no such test: {missing:?}");
        assert!(named.len() > 20, "{page} was not read");
    }
}

#[test]
fn the_demo_prints_what_the_readme_says_and_its_pipeline_file_is_right() {
    let readme = fs::read_to_string(checkout().join("README.md")).unwrap();
    let shown = blocks(&readme).into_iter().find(|block| block.text.starts_with("$ cargo xtask demo\n")).unwrap();
    let expected = shown.text.strip_prefix("$ cargo xtask demo\n").unwrap();

    // The same pipeline file, read from a copy, so that nobody else's demo is in the way.
    let scratch = Scratch::new().unwrap();
    let data = fs::read(checkout().join("examples/data/earthquakes.ndjson")).unwrap();
    scratch.write("examples/data/earthquakes.ndjson", &data).unwrap();
    let file = fs::read_to_string(checkout().join("examples/earthquakes.yaml")).unwrap();
    scratch.write("examples/earthquakes.yaml", file).unwrap();
    let connector = fs::read(component("wharf-file").unwrap()).unwrap();
    scratch.write("target/connectors/file.wasm", connector).unwrap();
    fs::create_dir(scratch.path("examples/out")).unwrap();
    let ran = scratch.run(&["run", "examples/earthquakes.yaml"]).unwrap();
    assert_eq!(ran.code, Some(0), "{}", ran.stderr);

    let mut delivered = Vec::new();
    files(&scratch.path("examples/out"), "ndjson", &mut delivered);
    let lines: usize = delivered.iter().map(|path| fs::read_to_string(path).unwrap().lines().count()).sum();
    let printed = format!(
        "$ wharf run examples/earthquakes.yaml\n{}examples/out: {lines} lines in {} files, the same as were read, byte for byte\n",
        ran.stdout,
        delivered.len()
    );
    let difference = differs(&without_figures(expected), &without_figures(&printed));
    assert!(difference.is_none(), "{}\n{printed}", difference.unwrap_or_default());

    let shown = blocks(&readme).into_iter().find(|block| block.language == "yaml").unwrap();
    scratch.write("examples/shown.yaml", shown.text).unwrap();
    let checked = scratch.run(&["check", "examples/shown.yaml"]).unwrap();
    assert_eq!(checked.code, Some(0), "{}", checked.stderr);
}

/// With the seconds left out, which are different each time, and what the component used, which is different with each compiler.
fn without_figures(text: &str) -> String {
    let lines = text.lines().map(|line| match line.split_once(" read in ") {
        Some((before, _)) => format!("{before} read in … s\n"),
        None if line.starts_with("    memory: ") => "    memory: …\n".into(),
        None => format!("{line}\n"),
    });
    lines.collect()
}

#[test]
fn a_run_with_a_dead_letter_leaves_what_the_page_for_operators_says() {
    let page = fs::read_to_string(checkout().join("docs/operating.md")).unwrap();
    let scratch = Scratch::new().unwrap();
    scratch.write("words.ndjson", "{\"day\":\"2026-01-01\"}\n{\"day\":\"2026-01-01\"}\n{\"no\":\"day\"}\n").unwrap();
    let file = format!(
        "version: 1
pipelines:
  - id: words
    source: {{ kind: file, path: words.ndjson }}
    dead-letters: {{ window: 100, tolerance: 1 }}
    destinations:
      - id: counts
        component: {}
        settings: {{ directory: /out, name: \"{{date}}.ndjson\", date-pointer: /day }}
        grants: {{ directories: [ {{ host: out, guest: /out, access: read-write }} ] }}
",
        component("wharf-file").unwrap().display()
    );
    scratch.write("words.yaml", file).unwrap();
    fs::create_dir(scratch.path("out")).unwrap();
    let ran = scratch.run(&["run", "words.yaml", "--output", "json"]).unwrap();
    assert_eq!(ran.code, Some(3), "{}", ran.stderr);

    let shown = blocks(&page).into_iter().find(|block| block.language == "json").unwrap();
    let (mut shown, mut printed) = (serde_json::from_str(&shown.text).unwrap(), ran.json().unwrap());
    for document in [&mut shown, &mut printed] {
        document["pipelines"][0]["seconds"] = 0.into();
        for figure in ["memory_peak", "fuel_per_record"] {
            let figure = &mut document["pipelines"][0]["destinations"][0]["usage"][figure];
            assert!(figure.take().as_u64().unwrap() > 0);
        }
    }
    assert_eq!(printed, shown);

    let store = rusqlite::Connection::open(scratch.path(".wharf/wharf.db")).unwrap();
    let shells: Vec<_> = blocks(&page).into_iter().filter(|block| block.text.contains("sqlite3 ")).collect();
    let queries: Vec<&str> = shells.iter().flat_map(|block| block.text.split('"').skip(1).step_by(2)).collect();
    assert_eq!(queries.len(), 6, "{queries:?}");
    for query in queries {
        let changes = !query.starts_with("SELECT");
        let mut query = store.prepare(query).unwrap();
        if changes {
            // That its table and columns exist is what can be held without anything that is wrong.
            continue;
        }
        let rows = query.query_map([], |_| Ok(())).unwrap().count();
        assert_eq!(rows, 1, "{query:?}");
    }
    let mut columns = store.prepare("SELECT name FROM pragma_table_info('dead_letters_in_words')").unwrap();
    let columns: BTreeSet<String> = columns.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
    let described =
        page.lines().skip_while(|line| !line.starts_with("| column |")).skip(2).take_while(|line| line.starts_with('|'));
    let described: Vec<&str> = described.filter_map(|line| line.split('|').nth(1)).collect();
    let described: BTreeSet<String> =
        described.iter().flat_map(|cell| cell.split('`').skip(1).step_by(2)).map(str::to_owned).collect();
    assert_eq!(described, columns);
}
