//! What the tuner found in earlier runs, in a file of the user's cache folder.
//!
//! An entry holds for one adapter, driver and version of hesper and of its shaders. A file that cannot be used is left out of account, never an error: the
//! tuner only has to measure again.

use std::collections::BTreeMap;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use tempfile::NamedTempFile;
use xxhash_rust::xxh3::Xxh3;

use super::kernel::Variant;
use super::tile::Tile;
use super::tiles::ShapeClass;

/// The crate's version, and a mark of the products that there are to choose from: whoever changes a shader measures anew.
fn version() -> String {
    let mut hash = Xxh3::new();
    for variant in Variant::all().into_iter().filter(|variant| variant.tile.is_some()) {
        hash.update(format!("{variant}\n").as_bytes());
        variant.assembly().sources.iter().for_each(|source| hash.update(source.text.as_bytes()));
    }
    format!("{}-{:016x}", env!("CARGO_PKG_VERSION"), hash.digest())
}

#[derive(Debug, Serialize, Deserialize)]
struct File {
    hesper: String,
    entries: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
struct Entry {
    adapter: String,
    class: ShapeClass,
    tile: String,
}

/// The cache of one adapter.
#[derive(Debug)]
pub(super) struct Cache {
    path: PathBuf,
    adapter: String,
}

impl Cache {
    /// That of the adapter and its driver, in the user's cache folder if there is one.
    pub(super) fn of(adapter: String) -> Option<Self> {
        let folders = directories::ProjectDirs::from("", "", "hesper")?;
        Some(Self { path: folders.cache_dir().join("tiles.json"), adapter })
    }

    /// The adapter's tiles.
    ///
    /// # Errors
    /// Why the file cannot be used; no file is no error.
    pub(super) fn load(&self) -> Result<BTreeMap<ShapeClass, Tile>, String> {
        let entries = self.entries()?.into_iter().filter(|entry| entry.adapter == self.adapter);
        let tiles = entries.map(|Entry { class, tile, .. }| {
            let known = Tile::named(&tile).ok_or_else(|| self.ignored(&format!("there is no tile '{tile}'")))?;
            Ok((class, known))
        });
        tiles.collect()
    }

    /// Replaces the adapter's tiles, at once or not at all.
    ///
    /// # Errors
    /// Why the file could not be written.
    pub(super) fn store(&self, tiles: &BTreeMap<ShapeClass, Tile>) -> Result<(), String> {
        let mut entries = self.entries().unwrap_or_default();
        entries.retain(|entry| entry.adapter != self.adapter);
        entries.extend(tiles.iter().map(|(&class, tile)| Entry { adapter: self.adapter.clone(), class, tile: tile.to_string() }));
        let write = || -> std::io::Result<()> {
            let folder = self.path.parent().unwrap_or(Path::new("."));
            std::fs::create_dir_all(folder)?;
            let mut file = NamedTempFile::new_in(folder)?;
            serde_json::to_writer_pretty(&mut file, &File { hesper: version(), entries })?;
            file.flush()?;
            file.persist(&self.path)?;
            Ok(())
        };
        write().map_err(|error| format!("the tuner's cache {} cannot be written: {error}", self.path.display()))
    }

    fn entries(&self) -> Result<Vec<Entry>, String> {
        let text = match std::fs::read(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(self.ignored(&error.to_string())),
        };
        let file: File = serde_json::from_slice(&text).map_err(|error| self.ignored(&error.to_string()))?;
        if file.hesper == version() { Ok(file.entries) } else { Err(self.ignored(&format!("it is of hesper {}", file.hesper))) }
    }

    fn ignored(&self, why: &str) -> String {
        format!("the tuner's cache {} is ignored and replaced: {why}", self.path.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tiles_are_kept_by_adapter_and_what_cannot_be_used_is_ignored() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("new").join("tiles.json");
        let cache = |adapter: &str| Cache { path: path.clone(), adapter: adapter.into() };
        let (one, other) = (cache("one, driver 1"), cache("one, driver 2"));
        assert_eq!(one.load(), Ok(BTreeMap::new()));

        let tiles = BTreeMap::from([(ShapeClass::Forward(9, 9), Tile::THIN), (ShapeClass::Weights(4, 9), Tile::SPLIT)]);
        one.store(&tiles).unwrap();
        other.store(&BTreeMap::from([(ShapeClass::Backward(1, 2), Tile::SHARED_128X64)])).unwrap();
        assert_eq!(one.load().unwrap(), tiles);
        assert_eq!(other.load().unwrap().len(), 1);

        let text = std::fs::read_to_string(&path).unwrap();
        for (broken, why) in [
            (text.replace(&version(), "0.0.0-other"), "it is of hesper 0.0.0-other"),
            (text.replace(&Tile::THIN.to_string(), "direct9x9@1x1"), "there is no tile 'direct9x9@1x1'"),
            (text[..text.len() / 2].to_owned(), "EOF"),
            ("\u{0}".to_owned(), "expected value"),
        ] {
            std::fs::write(&path, broken).unwrap();
            let message = one.load().unwrap_err();
            assert!(message.contains("tiles.json is ignored") && message.contains(why), "{message}");
        }
        one.store(&tiles).unwrap();
        assert_eq!(one.load().unwrap(), tiles);
    }
}
