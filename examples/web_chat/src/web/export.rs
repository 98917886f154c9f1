//! A whole channel as a file, in JSON or Markdown.

use std::io;

use bytes::Bytes;
use chatcore::blob::ByteStream;
use chatcore::store::ChannelInfo;
use chatcore::{ChannelName, Chat, Message, Seq};
use futures::stream::{self, StreamExt, TryStreamExt};
use serde_json::json;
use tokio::sync::OwnedSemaphorePermit;

/// The form of the file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Format {
    /// `{"channel": …, "messages": […]}`, each message as the protocol has it.
    Json,
    /// A heading per day, and below it the messages as they were written.
    Markdown,
}

impl Format {
    pub(super) fn content_type(self) -> &'static str {
        match self {
            Self::Json => "application/json",
            Self::Markdown => "text/markdown; charset=utf-8",
        }
    }

    fn begin(self, channel: &ChannelInfo) -> String {
        let ChannelInfo { name, title, topic, kind, archived, created_at, created_by, .. } = channel;
        match self {
            Self::Json => {
                let channel = json!({
                    "name": name,
                    "title": title,
                    "topic": topic,
                    "kind": kind,
                    "archived": archived,
                    "created_at": created_at,
                    "created_by": created_by,
                });
                format!("{{\"channel\":{channel},\"messages\":[")
            }
            Self::Markdown if topic.is_empty() => format!("# {}\n", escaped(title)),
            Self::Markdown => format!("# {}\n\n{}\n", escaped(title), escaped(topic)),
        }
    }

    fn end(self) -> &'static str {
        match self {
            Self::Json => "\n]}\n",
            Self::Markdown => "",
        }
    }
}

/// Where an export is.
struct Export {
    chat: Chat,
    channel: ChannelName,
    format: Format,
    /// The last message that is exported.
    last: Seq,
    /// Messages up to this one are done.
    done: Seq,
    /// The day of the last message, in Markdown.
    day: String,
    is_first: bool,
    /// Free when the export ends, or its reader leaves.
    _permit: OwnedSemaphorePermit,
}

/// Returns the messages of a channel up to `last`, oldest first, a page at a time.
pub(super) fn export(
    chat: Chat,
    channel: &ChannelInfo,
    last: Seq,
    format: Format,
    permit: OwnedSemaphorePermit,
) -> ByteStream {
    let begin = format.begin(channel);
    let channel = channel.name.clone();
    let export =
        Export { chat, channel, format, last, done: 0, day: String::new(), is_first: true, _permit: permit };
    let pages = stream::try_unfold(export, |mut export| async move {
        if export.done >= export.last {
            return Ok(None);
        }
        let page = export.next_page().await?;
        Ok(Some((page, export)))
    });
    let whole = stream::iter([Ok(begin)]).chain(pages).chain(stream::iter([Ok(format.end().to_owned())]));
    // An empty chunk would end the body.
    whole.try_filter(|text| std::future::ready(!text.is_empty())).map_ok(Bytes::from).boxed()
}

impl Export {
    /// Returns the messages of the next part of the log: as many positions as a page has messages.
    async fn next_page(&mut self) -> io::Result<String> {
        let size = self.chat.limits().page_messages.max(1);
        let end = self.done.saturating_add(size as u64).min(self.last);
        let (mut before, mut messages) = (end + 1, Vec::new());
        loop {
            let page = self.chat.history(&self.channel, before, size).await.map_err(io::Error::other)?;
            let older = page.messages.first().map_or(0, |message| message.seq);
            messages.extend(page.messages.into_iter().rev().filter(|message| message.seq > self.done));
            // A page may end early, by its bytes.
            if !page.more || older <= self.done + 1 {
                break;
            }
            before = older;
        }
        self.done = end;
        Ok(messages.iter().rev().map(|message| self.write(message)).collect())
    }

    fn write(&mut self, message: &Message) -> String {
        match self.format {
            Format::Json => {
                let mut value = json!(message);
                // The author's own key of the publish says nothing to others.
                value.as_object_mut().map(|fields| fields.remove("nonce"));
                let comma = if std::mem::take(&mut self.is_first) { "" } else { "," };
                format!("{comma}\n{value}")
            }
            Format::Markdown => self.markdown(message),
        }
    }

    fn markdown(&mut self, message: &Message) -> String {
        let at = message.at.to_string();
        let (day, time) = at.split_once('T').expect("invariant: RFC 3339 has a T");
        let mut text = String::new();
        if day != self.day {
            text.push_str(&format!("\n## {day}\n"));
            day.clone_into(&mut self.day);
        }
        let name = escaped(&message.author.name);
        let edited = if message.edited_at.is_some() { ", edited" } else { "" };
        text.push_str(&format!("\n**{name}** {}{edited}\n", &time[..5]));
        if message.deleted {
            text.push_str("\n*This message was deleted.*\n");
        }
        if !message.text.is_empty() {
            text.push_str(&format!("\n{}\n", message.text.trim_end()));
        }
        for file in &message.attachments {
            text.push_str(&format!("\n- {} ({} bytes)\n", escaped(&file.name), file.size));
        }
        text
    }
}

/// Writes a text so that Markdown shows it as it is.
fn escaped(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        if c.is_ascii_punctuation() {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    escaped
}
