//! The command lines of the examples: `--name value` and `--flag`, and what comes without a name.

use std::process::exit;

pub struct Args {
    named: Vec<(String, String)>,
    #[allow(dead_code, reason = "not every example takes any")]
    pub plain: Vec<String>,
}

/// Reads the command line, or says what it may contain and exits.
pub fn parse(options: &[&str], flags: &[&str]) -> Args {
    let mut args = Args { named: Vec::new(), plain: Vec::new() };
    let mut rest = std::env::args().skip(1);
    while let Some(arg) = rest.next() {
        if flags.contains(&&*arg) {
            args.named.push((arg, String::new()));
        } else if options.contains(&&*arg) {
            let Some(value) = rest.next() else { usage(options, flags) };
            args.named.push((arg, value));
        } else if arg.starts_with("--") {
            usage(options, flags);
        } else {
            args.plain.push(arg);
        }
    }
    args
}

fn usage(options: &[&str], flags: &[&str]) -> ! {
    eprintln!("options: {}", [options, flags].concat().join(", "));
    exit(2);
}

impl Args {
    #[allow(dead_code, reason = "not every example takes a flag")]
    pub fn has(&self, flag: &str) -> bool {
        self.named.iter().any(|(name, _)| name == flag)
    }

    #[allow(dead_code, reason = "not every example takes a value")]
    pub fn text(&self, option: &str) -> Option<&str> {
        self.named.iter().find(|(name, _)| name == option).map(|(_, value)| &**value)
    }

    #[allow(dead_code, reason = "not every example takes a number")]
    pub fn number(&self, option: &str) -> Option<u16> {
        let value = self.text(option)?;
        value.parse().ok().or_else(|| {
            eprintln!("{option} takes a number from 0 to 65535");
            exit(2);
        })
    }
}
