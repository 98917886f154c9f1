//! The app's review of messages, on real sockets.

use chatcore::{Action, ChannelName, Denied, Identity, NewMessage, OpenPolicy, Policy, Refused};
use chatcore_hyper::async_trait;
use chatcore_tests::Server;
use serde_json::json;

/// Refuses `spam`, and writes everything else in capitals.
struct Loud;

#[async_trait]
impl Policy for Loud {
    fn authorize(&self, identity: &Identity, action: Action<'_>) -> Result<(), Denied> {
        OpenPolicy.authorize(identity, action)
    }

    async fn review(&self, _: &Identity, _: &ChannelName, message: &mut NewMessage) -> Result<(), Refused> {
        if &*message.text == "spam" {
            return Err(Refused::new("no\nspam"));
        }
        message.text = message.text.to_uppercase().into();
        Ok(())
    }
}

#[tokio::test]
async fn a_review_refuses_with_its_reason_and_rewrites_the_rest() {
    let server = Server::under(Loud).await;
    let (mut ann, mut bob) = (server.member("ann", "a").await, server.member("bob", "a").await);
    let publish = |nonce: usize, text: &str| json!({"type": "publish", "channel": "a", "nonce": nonce.to_string(), "text": text});
    let mut ids = Vec::new();
    for (nonce, text) in ["one", "spam", "two", "three"].into_iter().enumerate() {
        ids.push(ann.tell(publish(nonce, text)).await);
    }
    let first = ann.answer(ids[0]).await;
    assert_eq!((&first["type"], &first["seq"]), (&json!("ok"), &json!(1)));
    let refused = ann.answer(ids[1]).await;
    assert_eq!(
        refused,
        json!({"type": "error", "id": ids[1], "code": "refused", "message": "no spam", "retryable": false})
    );
    for (id, seq) in [(ids[2], 2), (ids[3], 3)] {
        assert_eq!(ann.answer(id).await["seq"], json!(seq));
    }
    for (seq, text) in [(1, "ONE"), (2, "TWO"), (3, "THREE")] {
        let event = bob.event("message").await;
        assert_eq!((&event["seq"], &event["text"]), (&json!(seq), &json!(text)));
    }

    let edit = |text: &str| json!({"type": "edit", "channel": "a", "seq": 1, "text": text});
    ann.refused(edit("spam"), "refused").await;
    ann.ok(edit("uno")).await;
    let edited = bob.event("edited").await;
    assert_eq!((&edited["target"], &edited["text"]), (&json!(1), &json!("UNO")));
    server.stop().await;
}
