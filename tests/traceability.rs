//! Holds `requirements.md` against the tests: every requirement has its line, every test that a line names exists, and
//! every test that is named after a requirement has its place there.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// How the IDs begin, and how many there are of each.
const IDS: &[(&str, usize)] = &[
    ("6455-3-", 6),
    ("6455-4.1-", 26),
    ("6455-4.2.1-", 11),
    ("6455-4.2.2-", 8),
    ("6455-4.3-", 1),
    ("6455-4.4-", 2),
    ("6455-5.1-", 4),
    ("6455-5.2-", 8),
    ("6455-5.3-", 3),
    ("6455-5.4-", 10),
    ("6455-5.5-", 1),
    ("6455-5.5.1-", 6),
    ("6455-5.5.2-", 2),
    ("6455-5.5.3-", 2),
    ("6455-5.6-", 2),
    ("6455-5.8-", 1),
    ("6455-6.1-", 2),
    ("6455-6.2-", 3),
    ("6455-7.1.1-", 2),
    ("6455-7.1.2-", 1),
    ("6455-7.1.4-", 1),
    ("6455-7.1.5-", 1),
    ("6455-7.1.6-", 1),
    ("6455-7.1.7-", 2),
    ("6455-7.2.1-", 1),
    ("6455-7.2.2-", 1),
    ("6455-7.2.3-", 1),
    ("6455-7.3-", 1),
    ("6455-7.4-", 6),
    ("6455-8.1-", 3),
    ("6455-9.1-", 5),
    ("6455-10.2-", 1),
    ("6455-10.3-", 1),
    ("6455-10.4-", 1),
    ("6455-10.5-", 1),
    ("6455-10.6-", 1),
    ("6455-10.7-", 1),
    ("6455-10.8-", 1),
    ("6455-11.3.1-", 1),
    ("6455-11.3.2-", 1),
    ("6455-11.3.3-", 1),
    ("6455-11.3.4-", 1),
    ("6455-11.3.5-", 1),
    ("9110-7.8-", 2),
    ("9110-8.6-", 1),
    ("9110-15.2-", 1),
    ("9110-6.4-", 1),
    ("9112-2.2-", 3),
    ("9112-3-", 1),
    ("9112-3.2-", 1),
    ("9112-3.2.2-", 1),
    ("9112-5-", 2),
    ("9112-5.2-", 1),
    ("9112-x-", 2),
    ("7692-5-", 2),
    ("7692-6-", 3),
    ("7692-6.1-", 1),
    ("7692-6.2-", 1),
    ("7692-7.1-", 4),
    ("7692-7.1.1.1-", 2),
    ("7692-7.1.1.2-", 1),
    ("7692-7.1.2.1-", 2),
    ("7692-7.1.2.2-", 3),
    ("7692-7.2.1-", 3),
    ("7692-7.2.2-", 2),
    ("7692-7.2.3-", 2),
    ("7692-x-", 2),
    ("7692-8-", 1),
    ("8441-3-", 2),
    ("8441-4-", 1),
    ("8441-5-", 5),
    ("9220-3-", 3),
    ("x-embed-", 1),
    ("E-", 44),
    ("M", 12),
    ("C", 3),
    ("H", 13),
    ("F", 8),
    ("D", 8),
    ("L", 13),
    ("P", 3),
];

/// The line of a requirement.
struct Row<'a> {
    id: &'a str,
    shown_by: &'a str,
}

fn rows(table: &str) -> Vec<Row<'_>> {
    let lines = table.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| ID |"));
    lines
        .map(|line| match line.split(" | ").collect::<Vec<_>>()[..] {
            [id, _, shown_by] => Row { id: id.trim_start_matches("| "), shown_by: shown_by.trim_end_matches(" |") },
            _ => panic!("not three columns: {line}"),
        })
        .collect()
}

impl<'a> Row<'a> {
    fn tests(&self) -> impl Iterator<Item = &'a str> {
        self.shown_by.split('`').skip(1).step_by(2)
    }
}

/// What is wrong with the table, given all tests.
fn faults(table: &str, tests: &[String]) -> Vec<String> {
    let mut faults = Vec::new();
    let mut missing: BTreeSet<String> =
        IDS.iter().flat_map(|(start, count)| (1..=*count).map(move |number| format!("{start}{number}"))).collect();
    let mut listed = BTreeSet::new();
    for row in rows(table) {
        if !missing.remove(row.id) {
            faults.push(format!("{} is unknown or has two lines", row.id));
        }
        let shown: Vec<&str> = row.tests().collect();
        let reason = row.shown_by.strip_prefix("no: ");
        if shown.is_empty() && reason.is_none_or(str::is_empty) {
            faults.push(format!("{} has neither a test nor a reason", row.id));
        }
        for (at, test) in shown.iter().enumerate() {
            if shown[..at].contains(test) {
                faults.push(format!("{} names {test} twice", row.id));
            }
            if !tests.iter().any(|known| known == test) {
                faults.push(format!("{} names {test}, which is no test", row.id));
            }
        }
        listed.extend(shown);
    }
    faults.extend(missing.iter().map(|id| format!("{id} has no line")));
    let unlisted = tests.iter().filter(|test| is_named_after_a_requirement(test) && !listed.contains(&***test));
    faults.extend(unlisted.map(|test| format!("{test} has no place in the table")));
    faults
}

/// Whether a test begins with `rfc_`, or with the letter and number of a hostile input.
fn is_named_after_a_requirement(test: &str) -> bool {
    let (_, name) = test.rsplit_once("::").expect("a file and a name");
    let is_hostile = |rest: &str| rest.starts_with(|first: char| first.is_ascii_digit());
    name.starts_with("rfc_") || name.strip_prefix(['m', 'c', 'h', 'f', 'd', 'l', 'p']).is_some_and(is_hostile)
}

/// Every test function as `file::name`.
fn all_tests() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut tests = Vec::new();
    collect(&root.join("tests"), "", &mut tests);
    collect(&root.join("src"), "src/", &mut tests);
    tests
}

fn collect(folder: &Path, prefix: &str, tests: &mut Vec<String>) {
    for entry in fs::read_dir(folder).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_stem().and_then(|name| name.to_str()).expect("a name");
        if path.is_dir() {
            collect(&path, &format!("{prefix}{name}/"), tests);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let source = fs::read_to_string(&path).expect("a source file");
            tests.extend(functions(&source).map(|function| format!("{prefix}{name}::{function}")));
        }
    }
}

/// The functions with `#[test]` or `#[tokio::test]` before them, whatever other attributes stand between.
fn functions(source: &str) -> impl Iterator<Item = &str> {
    let mut is_test = false;
    source.lines().map(str::trim_start).filter_map(move |line| {
        is_test |= line.starts_with("#[test]") || line.starts_with("#[tokio::test");
        let is_between = line.starts_with("#[") || line.starts_with("//");
        let function = line.trim_start_matches("async ").strip_prefix("fn ");
        let found = function.filter(|_| is_test).and_then(|rest| rest.split(['(', '<']).next());
        is_test &= is_between;
        found
    })
}

#[test]
fn every_requirement_has_its_tests_and_every_test_its_requirement() {
    let faults = faults(include_str!("requirements.md"), &all_tests());
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn what_is_wrong_with_a_table_is_found() {
    let table = include_str!("requirements.md");
    let tests = all_tests();
    let line = table.lines().find(|line| line.starts_with("| H9 |")).expect("a line");
    let test = rows(line)[0].tests().next().expect("a test");
    let doubled = line.replacen(&format!("`{test}`"), &format!("`{test}`, `{test}`"), 1);
    for (broken, fault) in [
        (table.replacen(&format!("{line}\n"), "", 1), "H9 has no line".to_owned()),
        (table.replacen(line, &format!("{line}\n{line}"), 1), "H9 is unknown or has two lines".to_owned()),
        (table.replacen("| H9 |", "| H99 |", 1), "H99 is unknown or has two lines".to_owned()),
        (table.replacen(line, &doubled, 1), format!("H9 names {test} twice")),
        (table.replacen(line, "| H9 | something | no: |", 1), "H9 has neither a test nor a reason".to_owned()),
        (
            table.replacen(line, &line.replace(test, "every_driver::gone"), 1),
            "H9 names every_driver::gone, which is no test".to_owned(),
        ),
        (table.replace(test, "every_driver::gone"), format!("{test} has no place in the table")),
    ] {
        let found = faults(&broken, &tests);
        assert!(found.contains(&fault), "{fault:?} is not among {found:?}");
    }
    let mut more = tests.clone();
    more.push("drivers::l99_new".to_owned());
    assert_eq!(faults(table, &more), ["drivers::l99_new has no place in the table"]);
    let source = "#[test]\n#[cfg(unix)]\nfn a() {}\nfn b() {}\n#[tokio::test(start_paused = true)]\nasync fn c() {}\n";
    assert_eq!(functions(source).collect::<Vec<_>>(), ["a", "c"]);
}
