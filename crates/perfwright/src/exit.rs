//! Exit codes: the same meaning in every command.

use std::process::ExitCode;

/// How a command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    /// The work is done, and where it had a question the answer is yes.
    Done,
    /// The work is done and the answer is no.
    No,
    /// The command line or a setting is wrong; nothing was done.
    Usage,
    /// An answer would not be trustworthy, so none is given.
    HardStop,
    /// An input cannot be read or is malformed.
    Input,
    /// Something outside failed.
    Outside,
    /// Recorded evidence was changed after the fact.
    Tampered,
    /// A bug in perfwright.
    Internal,
    /// Stopped by the user; finished work is saved.
    Interrupted,
}

impl Exit {
    /// Every way to end, in the order of the numbers.
    pub const ALL: [Self; 9] = [
        Self::Done,
        Self::No,
        Self::Usage,
        Self::HardStop,
        Self::Input,
        Self::Outside,
        Self::Tampered,
        Self::Internal,
        Self::Interrupted,
    ];

    /// The number the shell sees.
    pub const fn number(self) -> u8 {
        match self {
            Self::Done => 0,
            Self::No => 1,
            Self::Usage => 2,
            Self::HardStop => 3,
            Self::Input => 4,
            Self::Outside => 5,
            Self::Tampered => 6,
            // What the Rust runtime itself ends with after a panic, so a bug looks the same wherever it strikes.
            Self::Internal => 101,
            Self::Interrupted => 130,
        }
    }

    /// One sentence for people who see the number.
    pub const fn meaning(self) -> &'static str {
        match self {
            Self::Done => "done; where there was a question, the answer is yes",
            Self::No => {
                "done, and the answer is no: regression, gap, refused gate, lint errors, inconclusive"
            }
            Self::Usage => "wrong command line or setting; nothing was done",
            Self::HardStop => "hard stop: the evidence would not be trustworthy",
            Self::Input => "unreadable or malformed input",
            Self::Outside => "something outside failed: disk, server, agent, compiler",
            Self::Tampered => "recorded evidence was tampered with",
            Self::Internal => "internal error: a bug in perfwright, please report it",
            Self::Interrupted => "interrupted; finished work is saved",
        }
    }

    /// Whether JSON output holds an error object instead of the command's own schema.
    pub const fn has_error_object(self) -> bool {
        matches!(self, Self::Input | Self::Outside)
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.number())
    }
}

#[cfg(test)]
mod tests {
    use super::Exit;

    #[test]
    fn numbers_are_the_documented_ones() {
        let numbers: Vec<u8> = Exit::ALL.iter().map(|exit| exit.number()).collect();
        assert_eq!(numbers, [0, 1, 2, 3, 4, 5, 6, 101, 130]);
    }
}
