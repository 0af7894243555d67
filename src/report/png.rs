//! SVG images as PNG, with a font of their own: systems without any are common.

use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::{Options, Tree};

use crate::error::{Error, Result};

/// The Latin, Greek and mathematical letters of Inter (SIL Open Font License).
const FONT: &[u8] = include_bytes!("../../assets/fonts/Inter-Regular-subset.otf");

/// Pixels for each unit of the image.
const SCALE: f32 = 2.0;

/// The image `svg` at twice its size, as the bytes of a PNG file.
///
/// # Errors
/// [`Error::Input`] where the image is none, which is a mistake in the program.
pub fn png(svg: &str) -> Result<Vec<u8>> {
    let fail = |error: &dyn std::fmt::Display| Error::Input(format!("a figure cannot be drawn: {error}"));
    let mut options = Options { font_family: "Inter".into(), ..Options::default() };
    let fonts = options.fontdb_mut();
    fonts.load_font_data(FONT.to_vec());
    fonts.set_sans_serif_family("Inter");
    let tree = Tree::from_str(svg, &options).map_err(|error| fail(&error))?;
    let size = tree.size().to_int_size().scale_by(SCALE).ok_or_else(|| fail(&"its size is not positive"))?;
    let mut pixels = Pixmap::new(size.width(), size.height()).ok_or_else(|| fail(&"it is too large"))?;
    resvg::render(&tree, Transform::from_scale(SCALE, SCALE), &mut pixels.as_mut());
    pixels.encode_png().map_err(|error| fail(&error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_and_text_are_drawn_at_twice_the_size() {
        let svg = |text: &str| format!("<svg xmlns='http://www.w3.org/2000/svg' width='40' height='20'><text y='15'>{text}</text></svg>");
        let image = Pixmap::decode_png(&png(&svg("λ")).unwrap()).unwrap();
        assert_eq!((image.width(), image.height()), (80, 40));
        assert!(image.pixels().iter().any(|pixel| pixel.alpha() > 200));
        assert!(Pixmap::decode_png(&png(&svg("")).unwrap()).unwrap().pixels().iter().all(|pixel| pixel.alpha() == 0));
        assert!(png("no image").is_err());
    }
}
