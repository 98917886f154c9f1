use std::future::poll_fn;

use tokio::io::{AsyncReadExt, DuplexStream, duplex};

use super::*;
use crate::socket::frame::{write_deflated, write_text};
use crate::socket::inflate::inflate;

/// Returns the frames on the wire: their first byte and their payload.
fn frames(mut wire: &[u8]) -> Vec<(u8, &[u8])> {
    let mut frames = Vec::new();
    while !wire.is_empty() {
        let (frame, rest) = wire.split_at(frame_len(wire));
        let header = match frame[1] {
            126 => 4,
            127 => 10,
            _ => 2,
        };
        frames.push((frame[0], &frame[header..]));
        wire = rest;
    }
    frames
}

/// Writes everything. Returns what the peer reads at the other end of the pipe.
async fn drained(writer: &mut Writer, (mut near, mut far): (DuplexStream, DuplexStream)) -> Vec<u8> {
    let reading = tokio::spawn(async move {
        let mut got = Vec::new();
        far.read_to_end(&mut got).await.unwrap();
        got
    });
    poll_fn(|cx| writer.poll_write(&mut near, cx)).await.unwrap();
    assert!(writer.is_empty() && writer.stall().is_none());
    drop(near);
    reading.await.unwrap()
}

/// Writes everything to a peer that reads through a pipe of so many bytes.
async fn written(writer: &mut Writer, pipe: usize) -> Vec<u8> {
    drained(writer, duplex(pipe)).await
}

/// Closes the connection once a pipe of so many bytes is full. Returns what the peer reads then.
async fn cut(writer: &mut Writer, pipe: usize) -> Vec<u8> {
    let (mut near, far) = duplex(pipe);
    poll_fn(|cx| {
        assert!(writer.poll_write(&mut near, cx).is_pending());
        Poll::Ready(())
    })
    .await;
    assert!(writer.stall().is_some());
    writer.drop_unsent();
    writer.push_close(CloseReason::TooSlow);
    drained(writer, (near, far)).await
}

#[tokio::test]
async fn a_queue_is_kept_for_a_message_and_its_answer_alone() {
    let mut writer = Writer::new(false);
    for (frames, kept) in [(1, 1), (2, 2), (1, 2), (3, 0), (2, 2)] {
        (0..frames).for_each(|_| writer.push_text(Bytes::from_static(b"x")));
        written(&mut writer, 64).await;
        assert_eq!(writer.frames.capacity(), kept, "after {frames}");
    }
}

#[test]
fn every_close_reason_fits_a_control_frame() {
    for reason in [CloseReason::Left, CloseReason::TooSlow, CloseReason::Banned] {
        let mut writer = Writer::default();
        writer.push_close(reason);
        let frame = &writer.frames[0];
        let payload = frame.payload.bytes();
        assert_eq!(frame.header()[0], 0x88);
        assert_eq!(payload[..2], reason.code().to_be_bytes());
        assert_eq!(&payload[2..], reason.text().as_bytes());
    }
}

/// A pipe of a few bytes forces a partial write at every position, including headers.
#[tokio::test]
async fn partial_writes_resume_where_they_stopped() {
    for pipe in [1, 2, 3, 5, 7, 64, 100_000] {
        let mut writer = Writer::default();
        let mut expected = Vec::new();
        for n in 0..200 {
            let payload = Bytes::from(vec![n as u8; n]);
            expected.extend_from_slice(Frame::new(Opcode::Text, payload.clone()).header());
            expected.extend_from_slice(&payload);
            writer.push_text(payload);
        }
        assert_eq!(written(&mut writer, pipe).await, expected, "pipe of {pipe}");
        assert!(writer.frames.capacity() <= KEPT_CAPACITY);
    }
}

/// Adds messages of these lengths, each copied. Returns their bytes on the wire.
fn write_all(writer: &mut Writer, lens: impl IntoIterator<Item = usize>) -> Vec<u8> {
    let mut wire = Vec::new();
    for len in lens {
        let payload = vec![len as u8; len];
        writer.write(len, &mut |out| out.extend_from_slice(&payload));
        write_text(&payload, &mut wire);
    }
    wire
}

#[tokio::test]
async fn short_frames_share_a_buffer_and_stay_in_order() {
    for pipe in [1, 3, 64, 100_000] {
        let mut writer = Writer::default();
        let mut expected = Vec::new();
        for round in 0..3 {
            expected.extend(write_all(&mut writer, (0..100).map(|n| n + 60 * round)));
            writer.push_ping();
            expected.extend([0x89, 0]);
            let shared = Bytes::from(vec![b's'; 2_000]);
            write_text(&shared, &mut expected);
            writer.push(shared);
        }
        assert!(writer.frames.len() < 20, "{} entries", writer.frames.len());
        assert!(written(&mut writer, pipe).await == expected, "pipe of {pipe}");
    }
}

#[tokio::test]
async fn a_buffer_that_is_begun_takes_more() {
    let (mut near, far) = duplex(5);
    let mut writer = Writer::default();
    let mut expected = write_all(&mut writer, [10, 20]);
    let blocked = poll_fn(|cx| Poll::Ready(writer.poll_write(&mut near, cx).is_pending())).await;
    assert!(blocked);
    let Payload::Frames(waiting) = &writer.frames[0].payload else { panic!("short frames") };
    assert_eq!(waiting.capacity(), expected.len(), "no more than its bytes");
    expected.extend(write_all(&mut writer, [30, 200]));
    assert_eq!(writer.frames.len(), 1);
    assert!(drained(&mut writer, (near, far)).await == expected);
}

#[tokio::test]
async fn short_frames_that_are_unsent_are_dropped_too() {
    for pipe in 1..80 {
        let mut writer = Writer::default();
        let wire = write_all(&mut writer, [10, 20, 30, 10]);
        // The frames end at 12, 34, 66 and 78.
        let begun = [0, 12, 34, 66, 78].into_iter().find(|end| *end >= pipe);
        let Some(end) = begun.filter(|_| pipe < wire.len()) else { continue };
        let got = cut(&mut writer, pipe).await;
        assert_eq!((&got[..end], got[end]), (&wire[..end], 0x88), "pipe of {pipe}");
    }
}

#[tokio::test]
async fn dropping_what_is_unsent_leaves_a_begun_frame_whole() {
    let mut writer = Writer::default();
    writer.push_text(Bytes::from_static(b"first"));
    writer.push_text(Bytes::from_static(b"second"));
    let mut expected = b"\x81\x05first\x88\x0a\x0f\xa1".to_vec();
    expected.extend_from_slice(b"too slow");
    assert_eq!(cut(&mut writer, 4).await, expected);
}

#[tokio::test]
async fn only_large_messages_are_compressed_and_only_for_who_takes_it() {
    for (deflates, len, first) in [(false, 5_000, 0x81), (true, 511, 0x81), (true, 512, 0xc1)] {
        let mut writer = Writer::new(deflates);
        let text = Bytes::from(vec![b'x'; len]);
        writer.write(len, &mut |out| out.extend_from_slice(&text));
        writer.push_ping();
        let wire = written(&mut writer, 64).await;
        let frames = frames(&wire);
        assert_eq!(frames[0].0, first);
        let plain = if first == 0xc1 { inflate(frames[0].1, len).unwrap() } else { frames[0].1.to_vec() };
        assert_eq!(plain, text);
        assert_eq!(frames[1..], [(0x89, &b""[..])]);
    }
}

/// A message of two pieces and a bit, which does not repeat itself within a piece.
fn large() -> Bytes {
    let numbers = (0..30_000_u32).flat_map(|n| n.wrapping_mul(2_654_435_761).to_string().into_bytes());
    numbers.take(2 * PIECE + 1).collect()
}

#[tokio::test]
async fn a_large_message_is_compressed_in_fragments_of_a_piece() {
    for pipe in [1_000, 1 << 20] {
        let mut writer = Writer::new(true);
        writer.push_text(large());
        writer.push_text(Bytes::from_static(b"next"));
        let held: usize = writer.frames.iter().filter(|frame| !frame.is_rest).map(Frame::len).sum();
        assert!(held < PIECE, "{held} bytes are held besides the message");
        let wire = written(&mut writer, pipe).await;
        let frames = frames(&wire);
        let firsts: Vec<u8> = frames.iter().map(|frame| frame.0).collect();
        assert_eq!(firsts, [0x41, 0x00, 0x80, 0x81]);
        let message: Vec<u8> = frames[..3].iter().flat_map(|frame| frame.1.to_vec()).collect();
        assert!(inflate(&message, 3 * PIECE).unwrap() == large());
    }
}

#[tokio::test]
async fn other_tasks_run_between_two_pieces() {
    let (mut near, _far) = duplex(1 << 20);
    let mut writer = Writer::new(true);
    writer.push_text(large());
    let mut polls = 0;
    poll_fn(|cx| {
        polls += 1;
        writer.poll_write(&mut near, cx)
    })
    .await
    .unwrap();
    assert_eq!(polls, 2);
}

#[tokio::test]
async fn a_close_may_cut_a_large_message_between_its_fragments() {
    let mut writer = Writer::new(true);
    writer.push_text(large());
    let first = writer.frames[0].len();
    let wire = cut(&mut writer, 1_000).await;
    assert_eq!((wire[0], wire[first]), (0x41, 0x88));
}

#[tokio::test]
async fn what_is_left_of_encoded_frames_is_written_from_any_byte() {
    let payloads = [Bytes::from_static(b"a"), vec![b'b'; 300].into(), vec![b'c'; 70_000].into()];
    let mut wire = Vec::new();
    payloads.iter().for_each(|payload| write_deflated(payload, &mut wire));
    let wire = Bytes::from(wire);
    for taken in (0..400).chain([wire.len() - 1]) {
        let mut writer = Writer::new(true);
        writer.push_begun(&wire, taken);
        let is_begun = writer.written > 0;
        assert_eq!(is_begun, ![0, 3, 307].contains(&taken), "{taken}");
        assert!(written(&mut writer, 1 << 20).await == wire[taken..], "{taken}");
    }
}
