//! `web_chat backup` and `restore`, as an operator runs them next to a real service.
#![allow(clippy::unwrap_used)]

mod interrupted;

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Output;

use chatcore_tests::load::{assert_kept, write};
use chatcore_tests::{Client, Postgres, Service, http, must, web_chat};
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::watch;

/// The folder with a service's data and its backups.
struct Place(TempDir);

impl Place {
    fn new() -> Self {
        let place = Self(tempfile::tempdir().unwrap());
        fs::create_dir(place.path("backups")).unwrap();
        place
    }

    fn path(&self, name: &str) -> std::path::PathBuf {
        self.0.path().join(name)
    }

    /// Runs a command on `data`, in the folder with the backups.
    async fn run(&self, command: &str, file: &str, data: &str, more: &[&str]) -> Output {
        let mut run = web_chat();
        run.args([command, file, "--data"]).arg(self.path(data)).args(more);
        let run = run.current_dir(self.path("backups")).output();
        must(command, run).await.unwrap()
    }

    async fn done(&self, command: &str, file: &str, data: &str, more: &[&str]) -> String {
        let output = self.run(command, file, data, more).await;
        let told = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(output.status.success(), "{command}: {}", String::from_utf8_lossy(&output.stderr));
        told
    }

    async fn refused(&self, command: &str, file: &str, data: &str, why: &str) {
        let output = self.run(command, file, data, &[]).await;
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(!output.status.success() && told.contains(why), "{command}: {told}");
        assert_eq!(told.lines().count(), 1, "one line says it: {told}");
    }
}

/// Polls until a condition holds.
async fn until(is_so: impl Fn() -> bool) {
    while !is_so() {
        tokio::task::yield_now().await;
    }
}

fn names(folder: &Path) -> Vec<String> {
    let mut names: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

async fn attach(service: &Service, client: &mut Client, cookie: &str, bytes: &[u8]) -> String {
    let path = "/chat/channels/general/attachments?name=plan.txt";
    let answer = http(service.addr, "POST", path, &[&format!("Cookie: {cookie}")], bytes).await.json();
    let id = answer["id"].as_str().unwrap_or_else(|| panic!("{answer}"));
    let publish =
        json!({"type": "publish", "channel": "general", "nonce": id, "text": "", "attachments": [id]});
    client.ok(publish).await;
    format!("/chat/attachments/{id}/plan.txt")
}

fn position(opened: &Value) -> Value {
    json!({"epoch": opened["epoch"], "seq": opened["head"], "check": opened["check"]})
}

const OPEN: &str = r#"{"type": "subscribe", "channel": "general", "limit": 0}"#;

async fn open(client: &mut Client) -> Value {
    client.ok(serde_json::from_str(OPEN).unwrap()).await
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_under_load_restores_all_acknowledged_messages() {
    let place = Place::new();
    let service = Service::start(&place.path("data"), None).await;
    let cookie = service.sign_in("writer").await;
    let mut ann = Client::connect_with_cookie(service.addr, &cookie).await;
    // Longer than one piece of the archive on the socket.
    let plan: Vec<u8> = (0..200_000_u32).flat_map(u32::to_le_bytes).collect();
    let url = attach(&service, &mut ann, &cookie, &plan).await;
    let mut acked = Vec::new();
    for n in 0..100 {
        let text = format!("before-{n}");
        let publish = json!({"type": "publish", "channel": "general", "nonce": text, "text": text});
        acked.push((text.clone(), ann.ok(publish).await["seq"].as_u64().unwrap()));
    }
    let before = position(&open(&mut ann).await);
    let (stop, stopped) = watch::channel(false);
    let client = Client::connect_with_cookie(service.addr, &cookie).await;
    let load =
        tokio::spawn(write(client, "meanwhile".to_owned(), std::time::Duration::from_secs(30), stopped));
    let told = place.done("backup", "one.tar", "data", &[]).await;
    assert!(told.contains("Backup in one.tar: messages, names and 1 file, "), "{told}");
    stop.send(true).unwrap();
    let meanwhile = must("the load ends", load).await.unwrap();
    assert!(!meanwhile.is_empty(), "others wrote all the time");
    for _ in 0..20 {
        ann.publish("general", "lost").await;
    }
    let after = position(&open(&mut ann).await);
    service.kill().await;

    let backup = place.path("backups/one.tar");
    assert_eq!(fs::metadata(&backup).unwrap().permissions().mode() & 0o7777, 0o600);
    assert_eq!(names(&place.path("backups")), ["one.tar"], "nothing else is left");
    assert!(!place.path("data/backup").exists(), "no copies are left");
    let told = place.done("restore", "one.tar", "new", &[]).await;
    assert!(told.contains("Restored messages, names and 1 file to "), "{told}");
    assert_eq!(names(&place.path("new")), ["accounts.redb", "chat.redb", "files"]);

    let service = Service::start(&place.path("new"), None).await;
    let mut ann = Client::connect_with_cookie(service.addr, &cookie).await;
    let file = http(service.addr, "GET", &url, &[&format!("Cookie: {cookie}")], b"").await;
    assert!(file.status == 200 && file.body == plan, "the file is whole");
    assert_kept(&mut ann, acked).await;
    let head = open(&mut ann).await["head"].as_u64().unwrap();
    assert!(head >= before["seq"].as_u64().unwrap() && head < after["seq"].as_u64().unwrap(), "{head}");
    for seen in [&after, &before] {
        let mut reader = Client::connect_with_cookie(service.addr, &cookie).await;
        let resume = json!({"type": "subscribe", "channel": "general", "after": seen});
        let answer = reader.ok(resume).await;
        assert_eq!((&answer["reset"], &answer["head"]), (&json!(true), &json!(head)), "{answer}");
        // The position that an earlier version sends.
        let unchecked = json!({"epoch": seen["epoch"], "seq": seen["seq"]});
        let resume = json!({"type": "subscribe", "channel": "general", "after": unchecked});
        assert_eq!(reader.ok(resume).await["reset"], true, "all epochs are new");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_stopped_service_is_backed_up_and_restored() {
    let place = Place::new();
    let service = Service::start(&place.path("data"), None).await;
    let cookie = service.sign_in("ann").await;
    let mut ann = Client::connect_with_cookie(service.addr, &cookie).await;
    let lost = attach(&service, &mut ann, &cookie, b"a file that goes away").await;
    ann.publish("general", "kept").await;
    // Its socket is left behind.
    service.kill().await;
    let id = lost.split('/').nth(3).unwrap();
    let file = place
        .path("data/files")
        .join(chatcore::blob::FolderBlobs::path_of(&chatcore::AttachmentId::new(id).unwrap()));
    fs::remove_file(file).unwrap();
    let told = place.done("backup", "one.tar", "data", &[]).await;
    assert!(
        told.contains("0 files")
            && told.contains(&format!(
                "1 file is missing or damaged in the data folder, and so not in the backup: {id}"
            )),
        "{told}"
    );
    fs::create_dir(place.path("empty")).unwrap();
    place.done("restore", "one.tar", "empty", &[]).await;
    let service = Service::start(&place.path("empty"), None).await;
    let mut ann = Client::connect_with_cookie(service.addr, &cookie).await;
    assert_eq!(open(&mut ann).await["head"], 2);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn backups_and_restores_overwrite_nothing() {
    let place = Place::new();
    place.refused("backup", "one.tar", "data", "to back up: set --data to the service's folder").await;
    fs::create_dir(place.path("data")).unwrap();
    place.refused("backup", "one.tar", "data", "set --database-url as for the service").await;
    let _service = Service::start(&place.path("data"), None).await;
    place.done("backup", "one.tar", "data", &[]).await;
    let whole = fs::read(place.path("backups/one.tar")).unwrap();
    place.refused("backup", "one.tar", "data", "one.tar exists, and a backup never overwrites a file").await;
    place.refused("backup", "no/such/folder.tar", "data", "no/such/folder.tar can't be written").await;
    place.refused("restore", "one.tar", "data", "is not empty, and a restore never overwrites a file").await;
    assert_eq!(fs::read(place.path("backups/one.tar")).unwrap(), whole);
    assert_eq!(names(&place.path("backups")), ["one.tar"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_backup_restores_nothing() {
    let place = Place::new();
    let service = Service::start(&place.path("data"), None).await;
    let cookie = service.sign_in("ann").await;
    let mut ann = Client::connect_with_cookie(service.addr, &cookie).await;
    attach(&service, &mut ann, &cookie, b"some bytes").await;
    place.done("backup", "one.tar", "data", &[]).await;
    let whole = fs::read(place.path("backups/one.tar")).unwrap();
    let middle = whole.len() / 2;
    let altered = {
        let mut altered = whole.clone();
        altered[middle] ^= 1;
        altered
    };
    // A link instead of a file, which `tar` would follow.
    let linked = {
        let mut linked = whole.clone();
        let at = linked.windows(6).position(|bytes| bytes == b"files/").unwrap();
        linked[at + 156] = b'2';
        linked
    };
    let cases: [(&str, &[u8], &str); 6] = [
        ("empty", b"", "it is not a backup of web_chat"),
        ("text", &[b'x'; 2_000], "it is not a backup of web_chat"),
        ("short", &whole[..middle], "it is incomplete"),
        ("end", &whole[..whole.len() - 1], "it is incomplete"),
        ("altered", &altered, "it is damaged or was changed"),
        ("linked", &linked, "it is damaged or was changed"),
    ];
    fs::create_dir(place.path("empty")).unwrap();
    for (name, bytes, why) in cases {
        fs::write(place.path("backups").join(name), bytes).unwrap();
        for data in ["new", "empty"] {
            place.refused("restore", name, data, why).await;
        }
        assert!(!place.path("new").exists(), "{name} leaves no folder");
        assert!(names(&place.path("empty")).is_empty(), "{name} leaves nothing in a folder");
    }
    place.refused("restore", "nowhere", "new", "nowhere can't be restored: it can't be read").await;
}

/// Reads a piece of the archive from a service; `None` at its end.
fn piece(socket: &mut UnixStream) -> Option<Vec<u8>> {
    let mut head = [0; 5];
    socket.read_exact(&mut head).unwrap();
    let [kind, length @ ..] = head;
    let mut piece = vec![0; u32::from_be_bytes(length).try_into().unwrap()];
    socket.read_exact(&mut piece).unwrap();
    assert!(matches!(kind, b'd' | b'z'), "{}", String::from_utf8_lossy(&piece));
    (kind == b'd').then_some(piece)
}

fn rest(mut socket: UnixStream) -> Vec<u8> {
    std::iter::from_fn(|| piece(&mut socket)).flatten().collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_makes_one_backup_at_a_time_for_its_owner() {
    let place = Place::new();
    let service = Service::start(&place.path("data"), None).await;
    let path = place.path("data/backup.sock");
    must("the service listens for commands", until(|| UnixStream::connect(&path).is_ok())).await;
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o600);
    let mut socket = UnixStream::connect(&path).unwrap();
    socket.write_all(b"backup 9\n").unwrap();
    let mut answer = Vec::new();
    socket.read_to_end(&mut answer).unwrap();
    assert!(String::from_utf8_lossy(&answer).contains("versions that do not understand each other"));

    // A command that reads only the beginning: the rest does not fit into the system's buffers.
    let cookie = service.sign_in("ann").await;
    let mut ann = Client::connect_with_cookie(service.addr, &cookie).await;
    let url = attach(&service, &mut ann, &cookie, &vec![7; 4 << 20]).await;
    let mut socket = UnixStream::connect(&path).unwrap();
    socket.write_all(b"backup 1\n").unwrap();
    socket.read_exact(&mut [0; 5]).unwrap();
    place.refused("backup", "two.tar", "data", "another backup is being made").await;
    drop(socket);
    let again = async { while !place.run("backup", "two.tar", "data", &[]).await.status.success() {} };
    must("the next one is made", again).await;
    let file = http(service.addr, "GET", &url, &[&format!("Cookie: {cookie}")], b"").await;
    assert_eq!(file.status, 200, "the service goes on");
    service.signal("TERM");
    assert!(service.ended().await.success());
    assert!(!path.exists(), "the socket goes with the service");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_deleted_during_a_backup_is_in_it() {
    let place = Place::new();
    let service = Service::start(&place.path("data"), None).await;
    let cookie = service.sign_in("ann").await;
    let mut ann = Client::connect_with_cookie(service.addr, &cookie).await;
    let mut urls = Vec::new();
    for byte in 0..4_u8 {
        urls.push(attach(&service, &mut ann, &cookie, &vec![byte; 4 << 20]).await);
    }
    // The service blocks in the first file, which does not fit into the system's buffers.
    let mut socket = UnixStream::connect(place.path("data/backup.sock")).unwrap();
    socket.write_all(b"backup 1\n").unwrap();
    let first = piece(&mut socket).unwrap();
    for seq in 1..=4 {
        ann.ok(json!({"type": "delete", "channel": "general", "seq": seq})).await;
    }
    // Time for the sweep, which a delete triggers.
    for n in 0..50 {
        ann.publish("general", &format!("after {n}")).await;
    }
    fs::write(place.path("backups/one.tar"), [first, rest(socket)].concat()).unwrap();
    service.kill().await;
    place.done("restore", "one.tar", "new", &[]).await;
    let service = Service::start(&place.path("new"), None).await;
    for (byte, url) in (0..4_u8).zip(&urls) {
        let answer = http(service.addr, "GET", url, &[&format!("Cookie: {cookie}")], b"").await;
        assert!(answer.status == 200 && answer.body == vec![byte; 4 << 20], "file {byte}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_with_postgresql_has_only_the_files() {
    let place = Place::new();
    let database = Postgres::shared().await.database().await;
    let url = database.url();
    let with_url = ["--database-url", &*url];
    let in_folder = ["--database-url", &*url, "--files", "folder"];
    let service = Service::with(&place.path("data"), &in_folder).await;
    let cookie = service.sign_in("ann").await;
    let mut ann = Client::connect_with_cookie(service.addr, &cookie).await;
    let file = attach(&service, &mut ann, &cookie, b"a plan").await;
    let seen = position(&open(&mut ann).await);
    for (name, more) in [("running.tar", &[][..]), ("stopped.tar", &with_url[..])] {
        if name == "stopped.tar" {
            service.signal("TERM");
            must("the service ends", until(|| !place.path("data/backup.sock").exists())).await;
        }
        let told = place.done("backup", name, "data", more).await;
        assert!(told.contains("1 file, ") && told.contains("back them up with pg_dump"), "{told}");
    }
    place
        .refused("restore", "stopped.tar", "new", "restore the database first, then set --database-url")
        .await;
    place.done("restore", "stopped.tar", "new", &with_url).await;
    let service = Service::with(&place.path("new"), &in_folder).await;
    let answer = http(service.addr, "GET", &file, &[&format!("Cookie: {cookie}")], b"").await;
    assert_eq!((answer.status, &answer.body[..]), (200, &b"a plan"[..]));
    let mut ann = Client::connect_with_cookie(service.addr, &cookie).await;
    let answer = ann.ok(json!({"type": "subscribe", "channel": "general", "after": seen})).await;
    assert_eq!(answer["reset"], true, "all epochs are new: {answer}");
}

/// pg_dump has everything then. The archive is empty, and restoring it gives the channels new epochs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_backup_with_files_in_postgresql_is_empty() {
    let place = Place::new();
    let url = Postgres::shared().await.database().await.url();
    let service = Service::start(&place.path("data"), Some(&url)).await;
    let cookie = service.sign_in("ann").await;
    let mut ann = Client::connect_with_cookie(service.addr, &cookie).await;
    let file = attach(&service, &mut ann, &cookie, b"a plan").await;
    let seen = position(&open(&mut ann).await);
    let told = place.done("backup", "one.tar", "data", &[]).await;
    assert!(told.contains("0 files, ") && told.contains("back them up with pg_dump"), "{told}");
    service.kill().await;
    place.done("restore", "one.tar", "new", &["--database-url", &url]).await;
    let service = Service::start(&place.path("new"), Some(&url)).await;
    let answer = http(service.addr, "GET", &file, &[&format!("Cookie: {cookie}")], b"").await;
    assert_eq!((answer.status, &answer.body[..]), (200, &b"a plan"[..]));
    let mut ann = Client::connect_with_cookie(service.addr, &cookie).await;
    let answer = ann.ok(json!({"type": "subscribe", "channel": "general", "after": seen})).await;
    assert_eq!(answer["reset"], true, "all epochs are new: {answer}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_data_folder_with_a_long_path_is_backed_up_while_stopped() {
    let place = Place::new();
    let long = "data-".repeat(24);
    let mut service = Service::start(&place.path(&long), None).await;
    service.logged("backups are possible only while the service is stopped").await;
    place.refused("backup", "one.tar", &long, "is open in another process").await;
    service.kill().await;
    place.done("backup", "one.tar", &long, &[]).await;
}
