//! A job file: what it lists, with every combination of its matrices.

use std::fs;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use toml::{Table, Value};

/// One job of a file, its flags by their names and each with its values.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Job {
    pub(super) name: String,
    pub(super) command: String,
    pub(super) flags: Vec<(String, Vec<String>)>,
}

impl Job {
    /// The values of a flag.
    pub(super) fn value(&self, key: &str) -> Option<&[String]> {
        self.flags.iter().find(|(flag, _)| flag == key).map(|(_, values)| values.as_slice())
    }
}

/// The most jobs that a file may come to: a matrix of more is a mistake.
const MOST: usize = 10_000;

/// The jobs of the file at `path`.
pub(super) fn read(path: &Path) -> Result<Vec<Job>> {
    let text = fs::read_to_string(path).with_context(|| path.display().to_string())?;
    parse(&text).with_context(|| path.display().to_string())
}

/// The jobs of a file's text.
pub(super) fn parse(text: &str) -> Result<Vec<Job>> {
    let file: Table = text.parse()?;
    if let Some(key) = file.keys().find(|key| !["defaults", "job"].contains(&key.as_str())) {
        bail!("unknown table '{key}': there are [defaults] and [[job]]");
    }
    let defaults = match file.get("defaults") {
        None => Table::new(),
        Some(Value::Table(defaults)) => defaults.clone(),
        Some(_) => bail!("'defaults' is a table: [defaults]"),
    };
    let Some(Value::Array(listed)) = file.get("job") else { bail!("there is no [[job]]") };
    let mut jobs = Vec::new();
    for (index, job) in listed.iter().enumerate() {
        let Value::Table(job) = job else { bail!("job {}: [[job]] is a table", index + 1) };
        jobs.extend(expanded(job, &defaults, index + 1).with_context(|| format!("job {}", index + 1))?);
        if jobs.len() > MOST {
            bail!("more than {MOST} jobs: the matrices are too large");
        }
    }
    let mut names: Vec<_> = jobs.iter().map(|job| job.name.as_str()).collect();
    names.sort_unstable();
    if let Some(pair) = names.windows(2).find(|pair| pair[0] == pair[1]) {
        bail!("two jobs are named '{}': give each another name", pair[0]);
    }
    Ok(jobs)
}

/// A job for each combination of its matrix; each of several has an out folder of its own within the job's.
fn expanded(job: &Table, defaults: &Table, number: usize) -> Result<Vec<Job>> {
    let Some(Value::String(command)) = job.get("command") else { bail!("command = \"...\" is missing") };
    let name = match job.get("name") {
        None => format!("{number}-{command}"),
        Some(Value::String(name)) => name.clone(),
        Some(_) => bail!("name is a string"),
    };
    let mut flags: Vec<(String, Vec<String>)> = Vec::new();
    let own = job.iter().filter(|(key, _)| !["command", "name", "matrix"].contains(&key.as_str()));
    for (key, value) in defaults.iter().filter(|(key, _)| !job.contains_key(*key)).chain(own) {
        flags.push((key.clone(), values(key, value)?));
    }
    let mut jobs = vec![Job { name, command: command.clone(), flags }];
    let matrix = match job.get("matrix") {
        None => return Ok(jobs),
        Some(Value::Table(matrix)) => matrix,
        Some(_) => bail!("matrix is a table of lists"),
    };
    for (key, choices) in matrix {
        let Value::Array(choices) = choices else { bail!("matrix.{key} is a list of values") };
        let mut combined = Vec::new();
        for job in &jobs {
            for choice in choices {
                let values = values(key, choice)?;
                let label = Path::new(&values.join("+")).file_stem().map(|stem| stem.to_string_lossy().into_owned()).unwrap_or_default();
                let label = if matches!(choice, Value::String(_)) { label } else { values.join("+") };
                let mut job = job.clone();
                job.name = format!("{}-{key}-{label}", job.name);
                job.flags.retain(|(flag, _)| flag != key);
                job.flags.push((key.clone(), values));
                combined.push(job);
            }
        }
        jobs = combined;
        if jobs.len() > MOST {
            bail!("more than {MOST} jobs: the matrix is too large");
        }
    }
    for job in &mut jobs {
        let name = job.name.clone();
        let out = job.flags.iter_mut().find(|(flag, _)| flag == "out").and_then(|(_, values)| values.first_mut());
        if let Some(out) = out {
            *out = Path::new(out.as_str()).join(name).display().to_string();
        }
    }
    Ok(jobs)
}

/// The values of a key as they would be typed.
fn values(key: &str, value: &Value) -> Result<Vec<String>> {
    Ok(match value {
        Value::Array(values) => values.iter().map(|value| single(key, value)).collect::<Result<_>>()?,
        value => vec![single(key, value)?],
    })
}

fn single(key: &str, value: &Value) -> Result<String> {
    Ok(match value {
        Value::String(text) => text.clone(),
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Boolean(flag) => flag.to_string(),
        other => bail!("{key} = {other}: a flag is a string, a number, true or false, or a list of those"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_matrix_is_every_combination() {
        let text = "[defaults]\nout = 'r'\n[[job]]\ncommand = 'spectrum'\nname = 's'\n[job.matrix]\nseed = [0, 1]\nmodel = ['a/x.safetensors', 'b/y.safetensors']\n";
        let jobs = parse(text).unwrap();
        let names: Vec<_> = jobs.iter().map(|job| job.name.as_str()).collect();
        assert_eq!(names, ["s-model-x-seed-0", "s-model-x-seed-1", "s-model-y-seed-0", "s-model-y-seed-1"]);
        assert_eq!(jobs[3].value("out").unwrap(), ["r/s-model-y-seed-1"]);
        assert_eq!(
            (jobs[1].value("seed").unwrap(), jobs[1].value("model").unwrap()),
            (&["1".to_owned()][..], &["a/x.safetensors".to_owned()][..])
        );
    }

    #[test]
    fn mistakes_are_told() {
        for (text, told) in [
            ("", "no [[job]]"),
            ("[[job]]\n", "command"),
            ("[jobs]\n", "'jobs'"),
            ("x = ", ""),
            ("[[job]]\ncommand = 'a'\nname = 'n'\n[[job]]\ncommand = 'b'\nname = 'n'\n", "two jobs are named 'n'"),
            ("[[job]]\ncommand = 'a'\nx = { y = 1 }\n", "x ="),
            ("[[job]]\ncommand = 'a'\n[job.matrix]\nseed = 3\n", "matrix.seed"),
        ] {
            let error = parse(text).unwrap_err();
            assert!(format!("{error:#}").contains(told), "{text}: {error:#}");
        }
    }
}
