//! Backups and restores that do not come to their end.

use std::fs;
use std::io::{Read, Write};
use std::os::unix::net::UnixListener;
use std::process::{Output, Stdio};

use chatcore_redb::RedbStore;
use chatcore_tests::{Service, must, web_chat};

use super::{Place, names, until};

/// Runs a backup whose file is limited to this many KiB, as on a full disk.
async fn backup_on_a_full_disk(place: &Place, kib: u32) -> Output {
    let program = web_chat();
    let mut run = tokio::process::Command::new("sh");
    // Without the trap, the system would kill the process at the limit.
    run.args(["-c", "trap '' XFSZ; ulimit -f \"$1\"; shift; exec \"$@\"", "sh", &(kib * 2).to_string()]);
    run.arg(program.as_std().get_program()).args(["backup", "one.tar", "--data"]).arg(place.path("data"));
    run.env_remove("DATABASE_URL").current_dir(place.path("backups"));
    must("a backup on a full disk", run.output()).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_full_disk_leaves_no_part_of_a_backup() {
    let place = Place::new();
    let service = Service::start(&place.path("data"), None).await;
    for is_running in [true, false] {
        if !is_running {
            service.signal("TERM");
            RedbStore::open(place.path("data/chat.redb")).unwrap();
        }
        let output = backup_on_a_full_disk(&place, 64).await;
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{told}");
        assert!(names(&place.path("backups")).is_empty(), "{told}");
        // The service notices it at its next write.
        must("the copies are gone", until(|| !place.path("data/backup").exists())).await;
    }
    place.done("backup", "one.tar", "data", &[]).await;
}

/// Starts a backup of a service that does not answer, and waits until its file exists.
async fn begin(place: &Place) -> tokio::process::Child {
    let mut run = web_chat();
    run.args(["backup", "one.tar", "--data"]).arg(place.path("data")).current_dir(place.path("backups"));
    let child = run.stderr(Stdio::piped()).spawn().unwrap();
    must("the backup begins", until(|| !names(&place.path("backups")).is_empty())).await;
    child
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_leaves_no_part_of_a_backup() {
    let place = Place::new();
    let service = Service::start(&place.path("data"), None).await;
    service.signal("STOP");
    for signal in ["INT", "TERM"] {
        let child = begin(&place).await;
        let id = child.id().unwrap().to_string();
        std::process::Command::new("kill").args(["-s", signal, &id]).status().unwrap();
        let output = must("its end", child.wait_with_output()).await.unwrap();
        let told = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success() && told.contains("no backup was made"), "{told}");
        assert!(names(&place.path("backups")).is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_that_stops_leaves_no_part_of_a_backup() {
    let place = Place::new();
    fs::create_dir(place.path("data")).unwrap();
    let service = UnixListener::bind(place.path("data/backup.sock")).unwrap();
    for (sent, why) in [
        (&b""[..], "stopped before the backup was complete"),
        (b"d\0\0\x02\0half a piece", "stopped before the backup was complete"),
        (b"e\0\0\0\x10the disk is full", "made no backup: the disk is full"),
        (b"HTTP/1.1 400 Bad Request", "can't be reached: it uses another protocol"),
        (b"d\0\0\0\x01xz\0\0\0\0", "can't be read back: it is not a backup of web_chat"),
    ] {
        let refused = place.refused("backup", "one.tar", "data", why);
        // A separate thread: a blocking task that waits for a connection would keep a failed test from ending.
        let serve = std::thread::spawn({
            let service = service.try_clone().unwrap();
            move || {
                let mut command = service.accept().unwrap().0;
                command.read_exact(&mut [0; 9]).unwrap();
                command.write_all(sent).unwrap();
            }
        });
        refused.await;
        serve.join().unwrap();
        assert!(names(&place.path("backups")).is_empty(), "{why}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_rest_of_a_killed_backup_or_restore_is_noticed() {
    let place = Place::new();
    fs::create_dir_all(place.path("data/backup")).unwrap();
    fs::write(place.path("data/backup/chat.redb"), "half a copy").unwrap();
    drop(Service::start(&place.path("data"), None).await);
    assert!(!place.path("data/backup").exists());

    fs::create_dir_all(place.path("half/restoring")).unwrap();
    let started = web_chat().args(["--listen", "127.0.0.1:0", "--data"]).arg(place.path("half")).output();
    let output = must("it ends", started).await.unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && told.contains("a restore into it has not ended"), "{told}");
    assert_eq!(names(&place.path("half")), ["restoring"], "nothing was made");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_signal_leaves_no_part_of_a_restore() {
    let place = Place::new();
    let service = Service::start(&place.path("data"), None).await;
    place.done("backup", "one.tar", "data", &[]).await;
    service.kill().await;
    let whole = fs::read(place.path("backups/one.tar")).unwrap();
    let pipe = place.path("backups/pipe");
    assert!(std::process::Command::new("mkfifo").arg(&pipe).status().unwrap().success());
    let mut run = web_chat();
    run.args(["restore", "pipe", "--data"]).arg(place.path("new")).current_dir(place.path("backups"));
    let child = run.stderr(Stdio::piped()).spawn().unwrap();
    // Opening the file waits for the reader.
    let half = tokio::task::spawn_blocking(move || {
        let mut pipe = fs::OpenOptions::new().write(true).open(pipe).unwrap();
        pipe.write_all(&whole[..whole.len() / 2]).unwrap();
        pipe
    });
    let pipe = must("half of it is read", half).await.unwrap();
    must("the restore is under way", until(|| place.path("new/restoring").exists())).await;
    std::process::Command::new("kill")
        .args(["-s", "INT", &child.id().unwrap().to_string()])
        .status()
        .unwrap();
    drop(pipe);
    let output = must("its end", child.wait_with_output()).await.unwrap();
    let told = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && told.contains("pipe can't be restored"), "{told}");
    assert!(!place.path("new").exists(), "{told}");
}
