//! The command line as a shell takes it again.

/// This process's own command line, with the program's name in place of its path.
pub(super) fn quoted() -> String {
    let arguments = std::env::args_os().skip(1).map(|argument| argument.to_string_lossy().into_owned());
    join(std::iter::once("hesper".to_owned()).chain(arguments))
}

/// The words quoted for a POSIX shell where they need it.
pub(super) fn join(words: impl IntoIterator<Item = String>) -> String {
    // No word of a process has a zero byte, the only thing that cannot be quoted.
    let quoted = |word: String| shlex::try_quote(&word).map_or_else(|_| word.replace('\0', ""), Into::into);
    words.into_iter().map(quoted).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_shell_reads_the_same_words() {
        let words = ["hesper", "spectrum", "--model", "my model's <b>.safetensors", "", "--x-scale", "0.5", "a$b\nc"].map(String::from);
        let line = join(words.clone());
        assert!(line.starts_with("hesper spectrum --model "));
        assert_eq!(shlex::split(&line).unwrap(), words);
    }
}
