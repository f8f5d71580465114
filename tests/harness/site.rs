//! A site of posts with macros in them, the same every time: what pages are measured and checked with. How they are rendered
//! is the business of whoever uses them.

use serde_json::{Map, Value, json};

/// Languages of the default macros, and how they call July.
const LANGUAGES: [(&str, &str); 5] =
    [("en", "July"), ("de", "Juli"), ("fr", "juillet"), ("it", "luglio"), ("es", "julio")];
/// Letters of video ids.
const LETTERS: &[u8] = b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_";

/// A macro in a post.
#[derive(Debug, Clone)]
pub struct Placed {
    /// The script.
    pub script: &'static str,
    /// Its parameters, as they arrive.
    pub params: Value,
    /// As the author writes it.
    pub written: String,
    /// What its HTML has in it, in this order.
    pub shows: Vec<String>,
}

/// A post.
#[derive(Debug, Clone)]
pub struct Post {
    /// Its number.
    pub number: usize,
    /// Its text in Markdown.
    pub content: String,
    /// The macros in it, in their order.
    pub macros: Vec<Placed>,
    /// What the application knows about where it is shown.
    pub env: Value,
    /// The media and tags of the site, as far as the post needs them.
    pub data: Value,
}

impl Post {
    /// The payload of `content.render`.
    #[must_use]
    pub fn page(&self) -> Value {
        json!({"content": self.content, "format": "markdown", "env": self.env, "data": self.data})
    }

    /// The payload of `macro.render` for one of its macros.
    #[must_use]
    pub fn alone(&self, placed: &Placed) -> Value {
        let context = json!({"env": self.env, "params": placed.params, "data": self.data});
        json!({"script": placed.script, "context": context})
    }
}

/// Post number `number` of the site.
#[must_use]
pub fn post(number: usize) -> Post {
    let (language, july) = LANGUAGES[number % LANGUAGES.len()];
    let images = 2 + number % 9;
    let macros = vec![
        video(number, 0),
        placed(
            "vimeo",
            "vimeo",
            &[("id", json!(70_000_000 + number))],
            vec![format!("player.vimeo.com/video/{}", 70_000_000 + number)],
        ),
        gallery(number, images),
        video(number, 1),
        placed(
            "photo_archive",
            "photo_album",
            &[("year", json!(2024)), ("month", json!(7))],
            vec!["photo-archive-single-month".to_owned(), format!("{july} 2024")],
        ),
        placed(
            "tag_cloud",
            "tag_cloud",
            &[("orientation", json!("mixed_hv")), ("width", json!(400 + number % 400))],
            vec![format!("data-width=\"{}\"", 400 + number % 400), format!("tag{number}")],
        ),
        video(number, 2),
    ];
    let mut content =
        format!("# Post {number}\n\nIt begins with *größe* and a [link](https://example.com/{number}).\n\n");
    for (place, one) in macros.iter().enumerate() {
        let text = "Some words that nobody will remember, but that a renderer has to read. "
            .repeat(3 + (number + place) % 5);
        content.push_str(&format!(
            "## Part {place}\n\n{text}\n\n{}\n\n- one\n- two **bold** `[[code]]`\n\n",
            one.written
        ));
    }
    Post {
        number,
        content,
        macros,
        env: json!({"isPreview": false, "mainLanguage": language, "source": {"kind": "post", "id": format!("post-{number}")}}),
        data: data(number, images),
    }
}

fn placed(script: &'static str, name: &str, params: &[(&str, Value)], shows: Vec<String>) -> Placed {
    let mut written = format!("[[{name}");
    let mut object = Map::new();
    for (key, value) in params {
        written.push_str(&format!(" {key}={value}"));
        object.insert((*key).to_owned(), value.clone());
    }
    Placed { script, params: object.into(), written: written + "]]", shows }
}

fn video(number: usize, place: usize) -> Placed {
    let mut seed = number * 7 + place + 1;
    let id: String = (0..11)
        .map(|_| {
            seed = (seed * 1_103_515_245 + 12_345) % (1 << 31);
            char::from(LETTERS[(seed >> 16) % LETTERS.len()])
        })
        .collect();
    let shows = vec![format!("youtube.com/embed/{id}?rel=0"), format!("Video {number} &amp; {place}")];
    let params =
        [("id", json!(id)), ("title", json!(format!("Video {number} & {place}"))), ("start", json!(number))];
    placed("youtube", "YouTube", &params, shows)
}

fn gallery(number: usize, images: usize) -> Placed {
    let columns = number % 6 + 1;
    let params =
        [("columns", json!(columns)), ("caption", json!(format!("Bilder \u{201e}{number}\u{201c}")))];
    let mut shows = vec![format!("gallery-cols-{columns}")];
    // The newest first.
    shows.extend((0..images).rev().map(|image| format!("src=\"/media/{number}-{image}.jpg\"")));
    shows.push(format!("Bilder \u{201e}{number}\u{201c}"));
    placed("gallery", "gallery", &params, shows)
}

fn data(number: usize, images: usize) -> Value {
    let image = |image: usize| {
        json!({
            "src": format!("/media/{number}-{image}.jpg"), "mime": "image/jpeg", "title": format!("Image {image}"),
            "createdAt": format!("2024-07-{:02}T12:00:00Z", image + 1), "postId": format!("post-{number}"),
        })
    };
    let other = json!({"src": "/media/other.jpg", "mime": "image/jpeg", "createdAt": "2023-01-01T12:00:00Z", "postId": "another"});
    let mut media: Vec<Value> = (0..images).map(image).collect();
    media.push(other);
    let tags: Vec<Value> = (0..20)
        .map(|tag| json!({"name": format!("tag{}", number + tag), "count": 1 + (number * tag) % 17}))
        .collect();
    json!({"media": media, "tags": tags})
}
