//! Draws the demo's photos: a small landscape each, so that the page has something to show without a download.

use std::io;
use std::path::Path;

use serde::Deserialize;

/// What the page's data say of a photo.
#[derive(Debug, Deserialize)]
pub(super) struct Photo {
    src: String,
    title: String,
}

/// Draws `photos` into `folder`, where their addresses in the page begin.
pub(super) fn draw(folder: &Path, photos: &[Photo]) -> io::Result<()> {
    for (place, photo) in photos.iter().enumerate() {
        let path = folder.join(&photo.src);
        if let Some(parent) = path.parent() {
            std::fs::create_dir_all(parent)?;
        }
        std::fs::write(path, landscape(place, &photo.title))?;
    }
    Ok(())
}

/// A sky, a sun and two hills in colours and places that differ from photo to photo.
fn landscape(place: usize, title: &str) -> String {
    let hue = place * 47 % 360;
    let sun = (60 + place * 83 % 280, 50 + place * 29 % 60);
    let hill = 130 + place * 17 % 50;
    let title = title.replace('&', "&amp;").replace('<', "&lt;");
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 400 267\"><title>{title}</title>\n\
         <rect width=\"400\" height=\"267\" fill=\"hsl({hue} 45% 72%)\"/>\n\
         <circle cx=\"{}\" cy=\"{}\" r=\"24\" fill=\"hsl({} 80% 88%)\"/>\n\
         <path d=\"M0 {hill}Q110 {} 220 {hill}T400 {hill}V267H0Z\" fill=\"hsl({} 30% 48%)\"/>\n\
         <path d=\"M0 {}Q150 {hill} 290 {}T400 {}V267H0Z\" fill=\"hsl({} 35% 30%)\"/>\n</svg>\n",
        sun.0,
        sun.1,
        (hue + 40) % 360,
        hill - 60,
        (hue + 150) % 360,
        hill + 60,
        hill + 70,
        hill + 40,
        (hue + 170) % 360,
    )
}
