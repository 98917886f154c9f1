//! A Slack-like chat service made of chatcore.
