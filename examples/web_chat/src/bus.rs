//! The bus by which several services on one database tell each other what happens.

use std::str::FromStr;
use std::sync::Arc;

use chatcore::bus::Bus;
use chatcore_nats::NatsBus;

use crate::app::OpenError;
use crate::options::Options;

/// How services on one database tell each other what happens: the value of `--bus`.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum BusChoice {
    /// Not at all: this service is the only one.
    Local,
    /// By LISTEN and NOTIFY in the database.
    Postgres,
    /// The same, with connections to this URL of the database.
    PostgresAt(String),
    /// By NATS at this URL.
    Nats(String),
}

/// The text names no bus.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "write local, postgres, the direct URL of the database, or the URL of a NATS server such as nats://127.0.0.1:4222"
)]
pub struct InvalidBus;

impl FromStr for BusChoice {
    type Err = InvalidBus;

    fn from_str(text: &str) -> Result<Self, InvalidBus> {
        match text {
            "local" => Ok(Self::Local),
            "postgres" => Ok(Self::Postgres),
            url if url.starts_with("postgres://") || url.starts_with("postgresql://") => {
                Ok(Self::PostgresAt(url.to_owned()))
            }
            url if url.starts_with("nats://") || url.starts_with("tls://") => Ok(Self::Nats(url.to_owned())),
            _ => Err(InvalidBus),
        }
    }
}

impl Options {
    /// Returns the bus to use: that of the option, or else the database's if there is one.
    #[must_use]
    pub fn bus_choice(&self) -> BusChoice {
        let usual = if self.database_url.is_some() { BusChoice::Postgres } else { BusChoice::Local };
        self.bus.clone().unwrap_or(usual)
    }

    /// Connects the bus, beside the store in `database`. Returns `None` for a service that is the only one.
    pub(crate) async fn open_bus(
        &self,
        database: Option<&chatcore_postgres::Builder>,
    ) -> Result<Option<Arc<dyn Bus>>, OpenError> {
        let choice = self.bus_choice();
        let Some(database) = database else {
            return if choice == BusChoice::Local { Ok(None) } else { Err(OpenError::BusNeedsDatabase) };
        };
        Ok(match choice {
            BusChoice::Local => None,
            BusChoice::Postgres => Some(Arc::new(database.bus().await?)),
            BusChoice::PostgresAt(url) => Some(Arc::new(database.clone().listen_url(&url).bus().await?)),
            BusChoice::Nats(url) => {
                let bus = NatsBus::builder(&url).namespace(&self.bus_namespace).name(&self.node_name);
                Some(Arc::new(bus.connect().await?))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    const URL: [&str; 3] = ["web_chat", "--database-url", "postgresql://localhost/chat"];

    #[test]
    fn services_on_a_database_use_its_bus_unless_told_otherwise() {
        assert_eq!(Options::parse_from(["web_chat"]).bus_choice(), BusChoice::Local);
        assert_eq!(Options::parse_from(URL).bus_choice(), BusChoice::Postgres);
        let with = |bus| Options::try_parse_from(URL.into_iter().chain(["--bus", bus]));
        assert_eq!(with("local").unwrap().bus_choice(), BusChoice::Local);
        let url = "nats://127.0.0.1:4222";
        assert_eq!(with(url).unwrap().bus_choice(), BusChoice::Nats(url.to_owned()));
        let direct = "postgresql://10.0.0.1/chat";
        assert_eq!(with(direct).unwrap().bus_choice(), BusChoice::PostgresAt(direct.to_owned()));
        for bad in ["", "redis://localhost", "nats"] {
            let error = with(bad).unwrap_err().to_string();
            assert!(error.contains("nats://127.0.0.1:4222"), "{error}");
        }
    }

    #[tokio::test]
    async fn a_bus_needs_a_database() {
        let options = Options::parse_from(["web_chat", "--memory", "--bus", "nats://127.0.0.1:1"]);
        assert!(matches!(options.open_bus(None).await, Err(OpenError::BusNeedsDatabase)));
    }
}
