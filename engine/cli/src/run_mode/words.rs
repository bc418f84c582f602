//! Which words of `unskewed run …` are its own, and which belong to the job it starts.
//!
//! As run.py does: options it does not know are handed on, in their order, whatever stands between them. Never judges
//! a word; the job's own parser does.

use clap::{Arg, Command};

/// The words of the command line without what is handed on, and what is handed on; nothing is, unless the subcommand
/// is `run`.
pub(crate) fn split(command: &Command, words: Vec<String>) -> (Vec<String>, Vec<String>) {
    let run = command.find_subcommand("run");
    let Some(run) = run.filter(|_| subcommand(command, &words) == Some("run")) else {
        return (words, vec![]);
    };
    let known = |word: &str| {
        let arguments = command.get_arguments().chain(run.get_arguments());
        arguments.into_iter().find_map(|arg| takes(arg, word))
    };
    let (mut own, mut rest) = (vec![], vec![]);
    let mut words = words.into_iter().peekable();
    own.extend(words.next());
    while let Some(word) = words.next() {
        match known(&word) {
            Some(value_follows) => {
                own.push(word);
                own.extend(value_follows.then(|| words.next()).flatten());
            }
            None if !word.starts_with('-') || is_help(&word) => own.push(word),
            None => {
                rest.push(word);
                while let Some(value) = words.next_if(|word| !word.starts_with('-')) {
                    rest.push(value);
                }
            }
        }
    }
    (own, rest)
}

fn is_help(word: &str) -> bool {
    ["-h", "--help"].contains(&word)
}

/// The first word that is neither an option nor its value.
fn subcommand<'a>(command: &Command, words: &'a [String]) -> Option<&'a str> {
    let mut words = words.iter().skip(1);
    while let Some(word) = words.next() {
        if !word.starts_with('-') {
            return Some(word);
        }
        let mut arguments = command.get_arguments();
        if arguments.find_map(|arg| takes(arg, word)) == Some(true) {
            words.next();
        }
    }
    None
}

/// Whether a word is this option, and then whether its value is the next word.
fn takes(arg: &Arg, word: &str) -> Option<bool> {
    let (name, has_value) = match word.split_once('=') {
        Some((name, _)) => (name, true),
        None => (word, false),
    };
    let long = name.strip_prefix("--");
    let is_long = long.is_some() && long == arg.get_long();
    let short = name.strip_prefix('-').filter(|_| long.is_none());
    let is_short = short.is_some_and(|short| {
        let mut letters = short.chars();
        letters.next().is_some()
            && letters.clone().all(|c| short.starts_with(c))
            && short.chars().next() == arg.get_short()
    });
    let value_follows =
        arg.get_action().takes_values() && !has_value && !arg.is_require_equals_set();
    (is_long || is_short).then_some(value_follows)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::args::Cli;
    use clap::CommandFactory;

    fn of(text: &str) -> (String, String) {
        let mut command = Cli::command();
        command.build();
        let words = text.split_whitespace().map(str::to_owned).collect();
        let (own, rest) = split(&command, words);
        (own.join(" "), rest.join(" "))
    }

    /// Known options stay with their values wherever they stand; the others go on with theirs.
    #[test]
    fn unknown_options_are_handed_on() {
        let (own, rest) = of(
            "unskewed --workers 2 run --sample 0.5 --mode stats-summary --conf c --step-days=3 \
             --selected-join-parts a b --ds 2024-03-01 -vv --force-backfill --app-name x",
        );
        assert_eq!(
            own,
            "unskewed --workers 2 run --mode stats-summary --conf c --ds 2024-03-01 -vv --app-name x"
        );
        assert_eq!(
            rest,
            "--sample 0.5 --step-days=3 --selected-join-parts a b --force-backfill"
        );
    }

    /// Other subcommands keep every word, also those that are only called like `run`.
    #[test]
    fn other_subcommands_are_left_alone() {
        for words in [
            "unskewed join --conf-path run --nope",
            "unskewed",
            "unskewed --kv run join",
        ] {
            assert_eq!(of(words), (words.into(), String::new()));
        }
        assert_eq!(of("unskewed run --help").0, "unskewed run --help");
    }
}
