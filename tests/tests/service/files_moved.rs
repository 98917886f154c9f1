//! `web_chat` with files in PostgreSQL: on several nodes, and moved there from the folder of an earlier version.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use bytes::Bytes;
use chatcore::AttachmentId;
use chatcore::blob::{BlobStore, FolderBlobs};
use chatcore_postgres::PostgresStore;
use chatcore_tests::{Answer, Client, Postgres, Service, http, must, web_chat};
use futures::{StreamExt, stream};
use serde_json::json;

async fn attach(service: &Service, cookie: &str, bytes: &[u8]) -> AttachmentId {
    let path = "/chat/channels/general/attachments?name=plan.txt";
    let answer = http(service.addr, "POST", path, &[&format!("Cookie: {cookie}")], bytes).await.json();
    let id = answer["id"].as_str().unwrap_or_else(|| panic!("{answer}"));
    let publish =
        json!({"type": "publish", "channel": "general", "nonce": id, "text": "", "attachments": [id]});
    Client::connect_with_cookie(service.addr, cookie).await.ok(publish).await;
    AttachmentId::new(id).unwrap()
}

async fn download(service: &Service, cookie: &str, id: &AttachmentId, more: &[&str]) -> Answer {
    let cookie = format!("Cookie: {cookie}");
    let headers: Vec<&str> = more.iter().copied().chain([&*cookie]).collect();
    http(service.addr, "GET", &format!("/chat/attachments/{id}/plan.txt"), &headers, b"").await
}

async fn run(arguments: &[&str], data: &Path, url: &str) -> Output {
    let mut run = web_chat();
    run.args(arguments).arg("--data").arg(data).args(["--database-url", url]);
    must("the command ends", run.output()).await.unwrap()
}

async fn move_files(data: &Path, url: &str) -> String {
    let output = run(&["move-files"], data, url).await;
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn path_of(data: &Path, id: &AttachmentId) -> PathBuf {
    data.join("files").join(FolderBlobs::path_of(id))
}

/// Returns the files below a folder.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

fn text(size: usize) -> Vec<u8> {
    (0..size).map(|i| b'a' + u8::try_from(i * i % 23).unwrap()).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_of_one_node_is_served_by_another() {
    let place = tempfile::tempdir().unwrap();
    let url = Postgres::shared().await.database().await.url();
    let one = Service::start(&place.path().join("one"), Some(&url)).await;
    let other = Service::start(&place.path().join("other"), Some(&url)).await;
    let cookie = one.sign_in("ann").await;
    let bytes = text(300_000);
    let id = attach(&one, &cookie, &bytes).await;
    for node in [&one, &other] {
        let whole = download(node, &cookie, &id, &[]).await;
        assert!(whole.status == 200 && whole.body == bytes, "{}", whole.status);
        let part = download(node, &cookie, &id, &["Range: bytes=65530-131080"]).await;
        assert!(part.status == 206 && part.body == bytes[65_530..=131_080], "{}", part.status);
    }
    assert!(!place.path().join("one/files").exists(), "nothing is in the folder");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn files_of_an_earlier_version_are_moved_into_the_database() {
    let place = tempfile::tempdir().unwrap();
    let data = place.path().join("data");
    let url = Postgres::shared().await.database().await.url();
    // The folder has the layout of the version before.
    let service = Service::with(&data, &["--database-url", &url, "--files", "folder"]).await;
    let cookie = service.sign_in("ann").await;
    let mut ids = Vec::new();
    let bytes: Vec<_> = [0, 1, 65_536, 200_000, 10].into_iter().map(text).collect();
    for bytes in &bytes {
        ids.push(attach(&service, &cookie, bytes).await);
    }
    let refused = run(&["move-files"], &data, &url).await;
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && told.contains("stop it first"), "{told}");
    service.kill().await;
    let previews = AttachmentId::new(format!("p_{}", ids[3])).unwrap();
    fs::create_dir_all(path_of(&data, &previews).parent().unwrap()).unwrap();
    fs::write(path_of(&data, &previews), "previews").unwrap();
    let unknown = path_of(&data, &AttachmentId::new("a_unknown").unwrap());
    fs::create_dir_all(unknown.parent().unwrap()).unwrap();
    fs::write(&unknown, "of no message").unwrap();
    fs::create_dir_all(data.join("files/incoming")).unwrap();
    fs::write(data.join("files/incoming/a_half"), "an upload of a killed process").unwrap();
    fs::write(path_of(&data, &ids[4]), "damaged").unwrap();

    let refused = run(&["--listen", "127.0.0.1:0"], &data, &url).await;
    let told = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(!refused.status.success() && told.contains("run web_chat move-files"), "{told}");

    // A move that was killed before it removed anything.
    let blobs = PostgresStore::connect(&url).await.unwrap().blobs();
    let first = stream::iter([Ok(Bytes::from(bytes[1].clone()))]).boxed();
    blobs.put(&ids[1], first, u64::MAX).await.unwrap();

    let told = move_files(&data, &url).await;
    assert!(told.contains("Moved 3 files and the previews of 1, 265544 bytes, "), "{told}");
    assert!(
        told.contains(&format!(
            "1 files of messages are missing or damaged in the folder, and not in the database: {}",
            ids[4]
        )),
        "{told}"
    );
    assert!(told.contains("2 files are left in the folder"), "{told}");
    let mut left = files(&data.join("files"));
    left.sort();
    let mut expected = vec![path_of(&data, &ids[4]), unknown];
    expected.sort();
    assert_eq!(left, expected);
    assert_eq!(blobs.size(&previews).await.unwrap(), Some(8));
    assert!(move_files(&data, &url).await.contains("Moved 0 files and the previews of 0, 0 bytes, "));

    let service = Service::start(&data, Some(&url)).await;
    for (id, bytes) in ids.iter().zip(&bytes).take(4) {
        let answer = download(&service, &cookie, id, &[]).await;
        assert!(answer.status == 200 && answer.body == *bytes, "{id}: {}", answer.status);
    }
    assert_eq!(download(&service, &cookie, &ids[4], &[]).await.status, 404);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_folder_without_the_files_of_the_database_is_warned_of() {
    let place = tempfile::tempdir().unwrap();
    let data = place.path().join("data");
    let url = Postgres::shared().await.database().await.url();
    let folder = ["--database-url", &url, "--files", "folder"];
    let service = Service::with(&data, &folder).await;
    let cookie = service.sign_in("ann").await;
    let here = attach(&service, &cookie, b"in the folder").await;
    service.kill().await;
    // Nothing of the database is missing yet.
    let mut service = Service::with(&data, &folder).await;
    service.signal("HUP");
    let lines = service.logged_until("SIGHUP").await;
    assert!(!lines.iter().any(|line| line.contains("404")), "{lines:?}");
    service.kill().await;
    fs::rename(data.join("files"), place.path().join("elsewhere")).unwrap();
    let service = Service::start(&data, Some(&url)).await;
    let there = attach(&service, &cookie, b"in the database").await;
    service.kill().await;
    fs::remove_dir_all(place.path().join("elsewhere")).unwrap();

    let mut service = Service::with(&data, &folder).await;
    let line = service.logged("with --files folder they answer 404").await;
    assert!(line.contains("run web_chat move-files first") && line.contains(there.as_str()), "{line}");
    for id in [&here, &there] {
        assert_eq!(download(&service, &cookie, id, &[]).await.status, 404);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_move_without_a_folder_or_a_database_says_what_to_set() {
    let place = tempfile::tempdir().unwrap();
    let url = Postgres::shared().await.database().await.url();
    let output = run(&["move-files"], &place.path().join("nowhere"), &url).await;
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && told.contains("set --data to the service's folder"), "{told}");
    let mut run = web_chat();
    let output =
        must("it ends", run.args(["move-files", "--data"]).arg(place.path()).output()).await.unwrap();
    let told = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(!output.status.success() && told.contains("set --database-url as for the service"), "{told}");
}
