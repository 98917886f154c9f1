//! The paths of the app's own requests, beside its pages and the chat.

use chatcore::{ChannelName, UserId};
use http::Method;

use crate::accounts::Hash;

/// A path of the app.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Route {
    /// `/session`: signing in and out.
    Session,
    /// `/link`: what a link is good for.
    Link,
    /// `/account`: the signed-in person.
    Account,
    /// `/account/link`: a link for another device.
    AccountLink,
    /// `/account/devices`: all other devices.
    Devices,
    /// `/account/devices/{id}`. The id is `None` if it can't be one.
    Device(Option<Hash>),
    /// `/admin/people`
    People,
    /// `/admin/people/{id}`
    Person(Option<UserId>),
    /// `/admin/people/{id}/devices`
    PersonDevices(Option<UserId>),
    /// `/admin/people/{id}/link`
    PersonLink(Option<UserId>),
    /// `/admin/invitations`
    Invitations,
    /// `/admin/invitations/{id}`
    Invitation(Option<Hash>),
    /// `/admin/channels`
    Channels,
    /// `/admin/channels/{name}`
    Channel(Option<ChannelName>),
    /// `/admin/channels/{name}/export`
    Export(Option<ChannelName>),
}

impl Route {
    /// Returns the route of a path that was percent-decoded once.
    pub(crate) fn of(path: &str) -> Option<Self> {
        let parts: Vec<&str> = path.strip_prefix('/')?.split('/').collect();
        let user = |id: &str| UserId::new(id).ok();
        Some(match parts[..] {
            ["session"] => Self::Session,
            ["link"] => Self::Link,
            ["account"] => Self::Account,
            ["account", "link"] => Self::AccountLink,
            ["account", "devices"] => Self::Devices,
            ["account", "devices", id] if !id.is_empty() => Self::Device(Hash::new(id)),
            ["admin", "people"] => Self::People,
            ["admin", "people", id] if !id.is_empty() => Self::Person(user(id)),
            ["admin", "people", id, "devices"] if !id.is_empty() => Self::PersonDevices(user(id)),
            ["admin", "people", id, "link"] if !id.is_empty() => Self::PersonLink(user(id)),
            ["admin", "invitations"] => Self::Invitations,
            ["admin", "invitations", id] if !id.is_empty() => Self::Invitation(Hash::new(id)),
            ["admin", "channels"] => Self::Channels,
            ["admin", "channels", name] if !name.is_empty() => Self::Channel(ChannelName::new(name).ok()),
            ["admin", "channels", name, "export"] if !name.is_empty() => {
                Self::Export(ChannelName::new(name).ok())
            }
            _ => return None,
        })
    }

    /// Returns the methods of the path, without `OPTIONS`.
    pub(crate) fn methods(&self) -> &'static str {
        match self {
            Self::Session => "GET, HEAD, POST, DELETE",
            Self::Account => "GET, HEAD, PATCH, DELETE",
            Self::Link | Self::AccountLink | Self::PersonLink(_) => "POST",
            Self::Devices | Self::Device(_) | Self::PersonDevices(_) | Self::Invitation(_) => "DELETE",
            Self::People | Self::Channels | Self::Export(_) => "GET, HEAD",
            Self::Person(_) => "PATCH, DELETE",
            Self::Channel(_) => "PATCH",
            Self::Invitations => "GET, HEAD, POST",
        }
    }

    pub(crate) fn has(&self, method: &Method) -> bool {
        self.methods().split(", ").any(|own| own == method.as_str())
    }
}
