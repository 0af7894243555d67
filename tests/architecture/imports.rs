//! Just enough of Rust's grammar to find the paths that a source names.

/// The paths below the crate's root that `text` names: `[["model", "Network"], ...]`. `home` is the module's own path, of which
/// `super` is resolved. `self::` and names brought in by `use` stay within what these paths already allow.
pub(crate) fn imports(home: &[&str], text: &str) -> Vec<Vec<String>> {
    let tokens = tokens(text);
    let mut found = Vec::new();
    let mut modules: Vec<Option<String>> = Vec::new(); // an open brace each: the inline module it opens, if it does
    for at in 0..tokens.len() {
        match tokens[at].as_str() {
            "{" => {
                let named = at >= 2 && tokens[at - 2] == "mod";
                modules.push(named.then(|| tokens[at - 1].clone()));
            }
            "}" => {
                modules.pop();
            }
            "crate" | "hesper" if starts_path(&tokens, at) => expand(&tokens, at + 2, Vec::new(), &mut found),
            "super" if starts_path(&tokens, at) => {
                let mut base: Vec<String> = home.iter().map(ToString::to_string).collect();
                base.extend(modules.iter().flatten().cloned());
                base.pop();
                let mut next = at + 2;
                while tokens.get(next).is_some_and(|token| token == "super") {
                    base.pop();
                    next += 2;
                }
                expand(&tokens, next, base, &mut found);
            }
            _ => {}
        }
    }
    found
}

/// All identifiers of `text` that a path starts with: `wgpu` in `use wgpu::Device`.
pub(crate) fn foreign_names(text: &str) -> Vec<String> {
    let tokens = tokens(text);
    (0..tokens.len()).filter(|&at| starts_path(&tokens, at)).map(|at| tokens[at].clone()).collect()
}

fn starts_path(tokens: &[String], at: usize) -> bool {
    let is_path = tokens.get(at + 1).is_some_and(|token| token == "::");
    is_path && (at == 0 || tokens[at - 1] != "::")
}

/// Follows the path at token `at`, through the groups of a `use` tree; the paths found start with `base`.
fn expand(tokens: &[String], mut at: usize, mut base: Vec<String>, found: &mut Vec<Vec<String>>) {
    loop {
        match tokens.get(at).map(String::as_str) {
            Some("{") => {
                let mut depth = 0;
                for inner in at..tokens.len() {
                    match tokens[inner].as_str() {
                        "{" => depth += 1,
                        "}" => depth -= 1,
                        _ => {}
                    }
                    if depth == 0 {
                        return;
                    }
                    if depth == 1 && matches!(tokens[inner].as_str(), "{" | ",") && tokens[inner + 1] != "}" {
                        expand(tokens, inner + 1, base.clone(), found);
                    }
                }
                return;
            }
            Some("self" | "*") | None => break,
            Some(name) => base.push(name.to_owned()),
        }
        if tokens.get(at + 1).is_none_or(|token| token != "::") {
            break;
        }
        at += 2;
    }
    if !base.is_empty() {
        found.push(base);
    }
}

/// Identifiers, `::` and single other characters of `text`; comments, strings, characters and lifetimes left out.
fn tokens(text: &str) -> Vec<String> {
    let chars: Vec<char> = text.chars().collect();
    let starts = |at: usize, prefix: &str| prefix.chars().enumerate().all(|(offset, c)| chars.get(at + offset) == Some(&c));
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < chars.len() {
        let c = chars[at];
        if starts(at, "//") {
            at += chars[at..].iter().take_while(|&&c| c != '\n').count();
        } else if starts(at, "/*") {
            at = after_comment(&chars, at);
        } else if c == '"' {
            at = after_quote(&chars, at + 1, '"');
        } else if c == '\'' {
            let is_char = chars.get(at + 1) == Some(&'\\') || chars.get(at + 2) == Some(&'\'');
            at = if is_char { after_quote(&chars, at + 1, '\'') } else { at + 1 };
        } else if c.is_alphanumeric() || c == '_' {
            let length = chars[at..].iter().take_while(|c| c.is_alphanumeric() || **c == '_').count();
            let word: String = chars[at..at + length].iter().collect();
            at += length;
            if matches!(word.as_str(), "r" | "br") && matches!(chars.get(at), Some('"' | '#')) {
                at = after_raw_string(&chars, at);
            } else {
                tokens.push(word);
            }
        } else if starts(at, "::") {
            tokens.push("::".to_owned());
            at += 2;
        } else {
            if !c.is_whitespace() {
                tokens.push(c.to_string());
            }
            at += 1;
        }
    }
    tokens
}

fn after_quote(chars: &[char], mut at: usize, quote: char) -> usize {
    while at < chars.len() && chars[at] != quote {
        at += if chars[at] == '\\' { 2 } else { 1 };
    }
    at + 1
}

fn after_raw_string(chars: &[char], start: usize) -> usize {
    let hashes = chars[start..].iter().take_while(|&&c| c == '#').count();
    let mut at = start + hashes + 1;
    while at < chars.len() {
        if chars[at] == '"' && chars[at + 1..].iter().take(hashes).filter(|&&c| c == '#').count() == hashes {
            return at + 1 + hashes;
        }
        at += 1;
    }
    at
}

fn after_comment(chars: &[char], mut at: usize) -> usize {
    let mut depth = 0;
    while at < chars.len() {
        if chars[at..].starts_with(&['/', '*']) {
            depth += 1;
            at += 2;
        } else if chars[at..].starts_with(&['*', '/']) {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    at
}
