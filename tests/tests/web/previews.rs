//! Previews of pictures, as a browser requests them.
#![allow(clippy::unwrap_used)]

use std::io::Cursor;
use std::path::{Path, PathBuf};
use std::time::Duration;

use chatcore_tests::{Answer, Client, Server, Service, http, must};
use image::{DynamicImage, ImageFormat, Rgb, RgbImage, Rgba, RgbaImage};
use serde_json::{Value, json};

const ANN: &str = "x-user: ann";

fn encoded(picture: &DynamicImage, format: ImageFormat) -> Vec<u8> {
    let mut bytes = Cursor::new(Vec::new());
    picture.write_to(&mut bytes, format).unwrap();
    bytes.into_inner()
}

/// A picture whose left half is red and whose right half is blue, with the grain of a photograph.
fn halves(width: u32, height: u32) -> DynamicImage {
    let pixel = |x: u32, y: u32| {
        let grain = (x * 7_919 + y * 104_729 + x * y * 31) % 48;
        let (red, blue) = if x < width / 2 { (200, 0) } else { (0, 200) };
        Rgb([red + grain as u8, grain as u8, blue + grain as u8])
    };
    RgbImage::from_fn(width, height, pixel).into()
}

/// Adds to a JPEG what a camera writes: its orientation, its location and its owner.
fn as_by_a_camera(jpeg: &[u8], orientation: u8) -> Vec<u8> {
    let name = b"Ann was at 48.2082N 16.3738E\0";
    let mut exif = b"Exif\0\0II*\0\x08\0\0\0\x02\0".to_vec();
    exif.extend([0x12, 0x01, 3, 0, 1, 0, 0, 0, orientation, 0, 0, 0]);
    exif.extend([0x3b, 0x01, 2, 0, name.len() as u8, 0, 0, 0, 38, 0, 0, 0]);
    exif.extend([0; 4]);
    exif.extend(name);
    let length = (exif.len() as u16 + 2).to_be_bytes();
    [&jpeg[..2], &[0xff, 0xe1], &length, &exif, &jpeg[2..]].concat()
}

async fn upload(server: &Server, name: &str, bytes: &[u8]) -> Value {
    let path = format!("/chat/channels/general/attachments?name={name}");
    let answer = http(server.addr, "POST", &path, &[ANN], bytes).await;
    assert_eq!(answer.status, 201, "{answer:?}");
    answer.json()
}

async fn get(server: &Server, path: &str, headers: &[&str]) -> Answer {
    let headers: Vec<&str> = headers.iter().copied().chain([ANN]).collect();
    http(server.addr, "GET", path, &headers, b"").await
}

fn preview_of(file: &Value, side: u32) -> String {
    format!("{}?preview={side}", file["url"].as_str().unwrap())
}

/// Requests a preview and decodes it.
async fn preview(server: &Server, file: &Value, side: u32) -> DynamicImage {
    let answer = get(server, &preview_of(file, side), &[]).await;
    assert_eq!(answer.status, 200, "{}", String::from_utf8_lossy(&answer.body));
    image::load_from_memory(&answer.body).unwrap()
}

async fn start() -> Server {
    let server = Server::start().await;
    server.member("ann", "general").await;
    server
}

#[tokio::test]
async fn a_picture_has_previews_in_two_sizes() {
    let server = start().await;
    let photo = encoded(&halves(1_600, 1_200), ImageFormat::Jpeg);
    let file = upload(&server, "photo.jpg", &photo).await;
    for (side, width, height) in [(360, 360, 270), (720, 720, 540)] {
        let answer = get(&server, &preview_of(&file, side), &[]).await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let length = answer.body.len().to_string();
        let etag = format!("\"{}-{side}\"", file["id"].as_str().unwrap());
        for (name, value) in [
            ("content-type", "image/jpeg"),
            ("content-length", &*length),
            ("content-disposition", "inline; filename=\"photo.jpg\"; filename*=UTF-8''photo.jpg"),
            ("x-content-type-options", "nosniff"),
            ("content-security-policy", "sandbox; default-src 'none'"),
            ("cross-origin-resource-policy", "same-origin"),
            ("cache-control", "private, no-cache"),
            ("accept-ranges", "bytes"),
            ("etag", &*etag),
        ] {
            assert_eq!(answer.header(name), Some(value), "{name}");
        }
        let shown = image::load_from_memory_with_format(&answer.body, ImageFormat::Jpeg).unwrap();
        assert_eq!((shown.width(), shown.height()), (width, height));
        assert!(answer.body.len() < photo.len() / 2, "{length} of {}", photo.len());
    }
    assert_eq!(
        get(&server, file["url"].as_str().unwrap(), &[]).await.body,
        photo,
        "the file itself is as it was"
    );
}

#[tokio::test]
async fn a_preview_supports_etags_and_ranges() {
    let server = start().await;
    let file = upload(&server, "a.png", &encoded(&halves(800, 800), ImageFormat::Png)).await;
    let path = preview_of(&file, 360);
    let whole = get(&server, &path, &[]).await;
    let etag = whole.header("etag").unwrap().to_owned();
    let known = get(&server, &path, &[&format!("If-None-Match: {etag}")]).await;
    assert_eq!((known.status, known.body.len()), (304, 0));
    assert_eq!(get(&server, &preview_of(&file, 720), &[&format!("If-None-Match: {etag}")]).await.status, 200);
    let part = get(&server, &path, &["Range: bytes=10-19"]).await;
    assert_eq!((part.status, &part.body[..]), (206, &whole.body[10..20]));
    let range = format!("bytes 10-19/{}", whole.body.len());
    assert_eq!(part.header("content-range"), Some(&*range));
    assert_eq!(get(&server, &path, &["Range: bytes=9999999-"]).await.status, 416);
    let head = http(server.addr, "HEAD", &path, &[ANN], b"").await;
    let length = whole.body.len().to_string();
    assert_eq!((head.status, head.body.len(), head.header("content-length")), (200, 0, Some(&*length)));
}

#[tokio::test]
async fn a_preview_is_upright_and_has_no_metadata() {
    let server = start().await;
    let jpeg = encoded(&halves(800, 400), ImageFormat::Jpeg);
    // Rotated clockwise by 90 degrees: the left half is now at the top.
    let file = upload(&server, "a.jpg", &as_by_a_camera(&jpeg, 6)).await;
    assert_eq!((&file["width"], &file["height"]), (&json!(400), &json!(800)));
    for side in [360, 720] {
        let answer = get(&server, &preview_of(&file, side), &[]).await;
        let has = |words: &[u8]| answer.body.windows(words.len()).any(|part| part == words);
        assert!(!has(b"Exif") && !has(b"48.2082N"));
        let shown = image::load_from_memory(&answer.body).unwrap().to_rgb8();
        assert_eq!((shown.width(), shown.height()), (side / 2, side));
        let (above, below) =
            (shown.get_pixel(side / 4, side / 8), shown.get_pixel(side / 4, side - side / 8));
        assert!(above[0] > 150 && above[2] < 100, "{above:?}");
        assert!(below[2] > 150 && below[0] < 100, "{below:?}");
    }
    // Upside down, it keeps its width and height.
    let file = upload(&server, "b.jpg", &as_by_a_camera(&jpeg, 3)).await;
    assert_eq!((&file["width"], &file["height"]), (&json!(800), &json!(400)));
    let shown = preview(&server, &file, 360).await.to_rgb8();
    assert!(shown.get_pixel(40, 90)[2] > 150, "what was right is left");
}

#[tokio::test]
async fn a_preview_keeps_transparency_and_sharp_edges() {
    let server = start().await;
    let sign =
        RgbaImage::from_fn(
            1_000,
            500,
            |x, _| if x < 500 { Rgba([0, 0, 0, 0]) } else { Rgba([9, 9, 9, 255]) },
        );
    for format in [ImageFormat::Png, ImageFormat::WebP] {
        let file = upload(&server, "sign", &encoded(&sign.clone().into(), format)).await;
        let shown = preview(&server, &file, 720).await;
        assert_eq!((shown.width(), shown.height()), (720, 360));
        let shown = shown.to_rgba8();
        assert_eq!((shown.get_pixel(10, 10)[3], shown.get_pixel(700, 10)[3]), (0, 255), "{format:?}");
    }
    // Few colours: a PNG, in which no line is blurred. It is not enlarged.
    let drawn = RgbImage::from_fn(300, 200, |x, _| if x % 20 == 0 { Rgb([0; 3]) } else { Rgb([255; 3]) });
    let file = upload(&server, "drawn.png", &encoded(&drawn.clone().into(), ImageFormat::Png)).await;
    for side in [360, 720] {
        assert_eq!(preview(&server, &file, side).await.to_rgb8(), drawn);
    }
}

#[tokio::test]
async fn an_animated_picture_has_a_still_preview() {
    let server = start().await;
    let mut bytes = Vec::new();
    let mut encoder = image::codecs::gif::GifEncoder::new(&mut bytes);
    for color in [[255, 0, 0, 255], [0, 0, 255, 255]] {
        encoder.encode_frame(image::Frame::new(RgbaImage::from_pixel(900, 90, Rgba(color)))).unwrap();
    }
    drop(encoder);
    let file = upload(&server, "a.gif", &bytes).await;
    let shown = preview(&server, &file, 720).await.to_rgb8();
    assert_eq!((shown.width(), shown.height()), (720, 72));
    assert!(shown.get_pixel(9, 9)[0] > 200, "the first of its pictures");
    assert_eq!(get(&server, file["url"].as_str().unwrap(), &[]).await.body, bytes, "the file moves");
}

#[tokio::test]
async fn a_very_long_picture_has_a_preview() {
    let server = start().await;
    let file =
        upload(&server, "long.png", &encoded(&RgbImage::new(1, 16_000).into(), ImageFormat::Png)).await;
    assert_eq!(file["content_type"], "image/png");
    for side in [360, 720] {
        let shown = preview(&server, &file, side).await;
        assert_eq!((shown.width(), shown.height()), (1, side));
    }
}

#[tokio::test]
async fn a_picture_over_the_bounds_has_no_preview() {
    let server = start().await;
    let head = |width: u32, height: u32| {
        let mut png = encoded(&RgbImage::new(1, 1).into(), ImageFormat::Png);
        png[16..20].copy_from_slice(&width.to_be_bytes());
        png[20..24].copy_from_slice(&height.to_be_bytes());
        png
    };
    for (width, height) in [(20_000, 20_000), (1, 60_000), (10_000, 5_001)] {
        let file = upload(&server, "bomb.png", &head(width, height)).await;
        assert_eq!(file["content_type"], "application/octet-stream");
        assert_eq!((&file["width"], &file["height"]), (&json!(width), &json!(height)));
        get(&server, &preview_of(&file, 360), &[]).await.assert_error(404, "no_such_attachment");
        assert_eq!(get(&server, file["url"].as_str().unwrap(), &[]).await.status, 200);
    }
}

#[tokio::test]
async fn a_picture_that_needs_too_much_memory_has_no_preview() {
    let jpeg = encoded(&RgbImage::new(4_000, 3_000).into(), ImageFormat::Jpeg);
    // Its pixels, in whole blocks, and those of a picture with twice the larger preview's side.
    let enough = (4_000 * 3_008 + 1_440 * 1_440) * 3;
    for (memory, status) in [(enough, 200), (enough - 1_024, 404)] {
        let server = Server::with(|setup| setup.limits.preview_memory = memory).await;
        server.member("ann", "general").await;
        let file = upload(&server, "a.jpg", &jpeg).await;
        assert_eq!(get(&server, &preview_of(&file, 360), &[]).await.status, status, "{memory}");
    }
}

#[tokio::test]
async fn a_broken_picture_has_no_preview() {
    let server = start().await;
    for format in [ImageFormat::Png, ImageFormat::Jpeg, ImageFormat::Gif, ImageFormat::WebP] {
        let whole = encoded(&halves(640, 480), format);
        let mut broken = whole[..whole.len() / 8].to_vec();
        // Everything after the head is noise.
        for (i, byte) in broken.iter_mut().enumerate().skip(700) {
            *byte = (i * i % 251) as u8;
        }
        let file = upload(&server, "broken", &broken).await;
        let answer = get(&server, &preview_of(&file, 720), &[]).await;
        // The readable part of a JPEG is shown, as browsers do.
        assert!(matches!(answer.status, 200 | 404), "{format:?} {answer:?}");
        if format == ImageFormat::Png {
            answer.assert_error(404, "no_such_attachment");
        }
        assert_eq!(get(&server, file["url"].as_str().unwrap(), &[]).await.body, broken);
    }
}

#[tokio::test]
async fn only_pictures_have_previews_and_only_of_two_sizes() {
    let server = start().await;
    let text = upload(&server, "a.txt", b"just text").await;
    get(&server, &preview_of(&text, 360), &[]).await.assert_error(404, "no_such_attachment");
    let file = upload(&server, "a.png", &encoded(&halves(8, 8), ImageFormat::Png)).await;
    let url = file["url"].as_str().unwrap();
    for side in ["0", "361", "1440", "-1", "", "x", "99999999999"] {
        let answer = get(&server, &format!("{url}?preview={side}"), &[]).await;
        answer.assert_error(404, "no_such_attachment");
    }
}

#[tokio::test]
async fn a_preview_needs_the_right_to_read_the_channel() {
    let server = start().await;
    let file = upload(&server, "a.png", &encoded(&halves(8, 8), ImageFormat::Png)).await;
    let path = preview_of(&file, 360);
    let etag = get(&server, &path, &[]).await.header("etag").unwrap().to_owned();
    http(server.addr, "GET", &path, &[], b"").await.assert_error(401, "unauthorized");
    http(server.addr, "GET", &path, &["x-user: bob"], b"").await.assert_error(404, "no_such_attachment");
    let mut ann = server.client("ann").await;
    let ids = json!([file["id"]]);
    ann.ok(json!({"type": "publish", "channel": "general", "nonce": "n", "text": "", "attachments": ids}))
        .await;
    assert_eq!(http(server.addr, "GET", &path, &["x-user: bob"], b"").await.status, 200);
    server.rules.forbid("bob", "general");
    for headers in [&["x-user: bob"][..], &["x-user: bob", &format!("If-None-Match: {etag}")]] {
        http(server.addr, "GET", &path, headers, b"").await.assert_error(403, "not_allowed");
    }
    ann.ok(json!({"type": "delete", "channel": "general", "seq": 1})).await;
    get(&server, &path, &[]).await.assert_error(404, "no_such_attachment");
}

/// Returns the files of uploads and previews: not the one that the service keeps locked.
fn files(folder: &Path) -> Vec<PathBuf> {
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    let below = |path: PathBuf| if path.is_dir() { files(&path) } else { vec![path] };
    paths.flat_map(below).filter(|path| !path.ends_with("lock")).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn previews_survive_a_restart_and_end_with_their_picture() {
    let folder = tempfile::tempdir().unwrap();
    let kept = || files(&folder.path().join("files"));
    let service = Service::start(folder.path(), None).await;
    let cookie = service.try_sign_in("ann").await.unwrap();
    let sent = format!("Cookie: {cookie}");
    let picture = encoded(&halves(800, 600), ImageFormat::Jpeg);
    let path = "/chat/channels/general/attachments?name=a.jpg";
    let file = http(service.addr, "POST", path, &[&sent], &picture).await.json();
    let mut ann = Client::connect_with_cookie(service.addr, &cookie).await;
    let ids = json!([file["id"]]);
    let publish =
        json!({"type": "publish", "channel": "general", "nonce": "n", "text": "", "attachments": ids});
    let seq = ann.ok(publish).await["seq"].clone();
    let before = http(service.addr, "GET", &preview_of(&file, 720), &[&sent], b"").await;
    assert_eq!(before.status, 200);
    let times =
        |paths: Vec<PathBuf>| paths.iter().map(|path| path.metadata().unwrap().modified().unwrap()).max();
    let (count, time) = (kept().len(), times(kept()));
    assert_eq!(count, 2, "the picture, and its previews in one file");

    service.kill().await;
    let service = Service::start(folder.path(), None).await;
    for side in [720, 360] {
        let after = http(service.addr, "GET", &preview_of(&file, side), &[&sent], b"").await;
        assert_eq!(after.status, 200);
        assert!(side == 360 || after.body == before.body);
    }
    assert_eq!((kept().len(), times(kept())), (count, time), "nothing is made again");

    service.kill().await;
    let service = Service::start(folder.path(), None).await;
    let mut ann = Client::connect_with_cookie(service.addr, &cookie).await;
    ann.ok(json!({"type": "delete", "channel": "general", "seq": seq})).await;
    let swept = async {
        while !kept().is_empty() {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
    };
    must("the sweeper removes both", swept).await;
}
