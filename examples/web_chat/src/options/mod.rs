//! The options of the service.

mod settings;

use std::path::PathBuf;

use chatcore_hyper::web::Origin;
use clap::{ArgGroup, Parser, ValueEnum};

use crate::backup::Command;
use crate::bus::BusChoice;
use crate::files::FilesIn;
use crate::log::{LogFilter, LogFormat};
use crate::name::{DisplayName, InvalidDisplayName};

/// The last lines of `--help`.
const BACKUP: &str = "Backup: web_chat backup FILE --data FOLDER, even while the service runs. With a database, run pg_dump \
first. Restore: stop the service and run web_chat restore FILE --data FOLDER. With a database, restore it first. \
docs/operations.md has both step by step.";

/// Who may take a new name: the value of `--join`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
#[non_exhaustive]
pub enum Join {
    /// Everybody who reaches the page.
    Open,
    /// Those with an invitation of the owner.
    Invite,
}

impl Join {
    /// Returns the value as it is written.
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Invite => "invite",
        }
    }
}

/// A chat for a team, in one program. Open its page, choose a name and write.
#[derive(Clone, Debug, Parser)]
#[command(name = "web_chat", version, after_help = BACKUP, disable_help_subcommand = true)]
#[command(group = ArgGroup::new("postgres").args(["database_url", "print_schema"]).multiple(true))]
pub struct Options {
    /// What to do instead of serving.
    #[command(subcommand)]
    pub command: Option<Command>,

    /// The address to listen on. Port 0 means any free port.
    #[arg(long, env = "WEB_CHAT_LISTEN", default_value = "127.0.0.1:3000", value_name = "ADDRESS")]
    pub listen: String,

    /// The address to serve /metrics (for Prometheus), /healthz and /readyz on. Choose one that only your own
    /// tools can reach. Off by default. /healthz and /readyz are also at the chat's address.
    #[arg(long, env = "WEB_CHAT_METRICS_LISTEN", value_name = "ADDRESS")]
    pub metrics_listen: Option<String>,

    /// What to log, to standard error: a level (off, error, warn, info, debug, trace), or levels per part, such as
    /// info,chatcore=debug, which adds a span per connection and per publish.
    #[arg(long, env = "WEB_CHAT_LOG", default_value = "info", value_name = "FILTER")]
    pub log: LogFilter,

    /// The format of the log: text for people, json for programs.
    #[arg(long, env = "WEB_CHAT_LOG_FORMAT", default_value = "text", value_name = "FORMAT", value_enum)]
    pub log_format: LogFormat,

    /// The folder for all data: messages, files and names. With a database, only files with --files folder. Use a folder
    /// of its own: other users lose access to it.
    #[arg(
        long,
        env = "WEB_CHAT_DATA",
        default_value = "web_chat-data",
        value_name = "FOLDER",
        global = true
    )]
    pub data: PathBuf,

    /// Keep everything in memory, and lose it at the end.
    #[arg(long, env = "WEB_CHAT_MEMORY", conflicts_with = "database_url")]
    pub memory: bool,

    /// Keep messages, names and files in this PostgreSQL database. Several services may share it.
    #[arg(long, env = "DATABASE_URL", hide_env_values = true, value_name = "URL", global = true)]
    pub database_url: Option<String>,

    /// Where to keep the files: in the data folder, or in the database. With a database it is the database, otherwise the
    /// folder. Several services need the database, or one folder on a file system that they share.
    #[arg(
        long,
        env = "WEB_CHAT_FILES",
        value_name = "PLACE",
        value_enum,
        requires_if("database", "database_url")
    )]
    pub files: Option<FilesIn>,

    /// Search with an index in the database. The first start with this option creates the index.
    #[arg(long, env = "WEB_CHAT_SEARCH_INDEX", requires = "postgres")]
    pub search_index: bool,

    /// Print the SQL that creates the tables in an empty database (with --search-index also the index), and exit. An
    /// administrator runs it if the service's role may not create schemas.
    #[arg(long)]
    pub print_schema: bool,

    /// A PEM file with root certificates for verifying the database, instead of the system's.
    #[arg(long, env = "WEB_CHAT_DATABASE_CA", value_name = "FILE", requires = "database_url", global = true)]
    pub database_ca: Option<PathBuf>,

    /// How services on one database tell each other what happens: postgres (in the database; the default if there is one),
    /// a URL of the database without the pooler in front of it, the URL of a NATS server such as nats://127.0.0.1:4222
    /// (several with commas), or local if this service is the only one.
    #[arg(long, env = "WEB_CHAT_BUS", hide_env_values = true, value_name = "BUS")]
    pub bus: Option<BusChoice>,

    /// The part of NATS that this chat uses: services on one database have the same one, other chats another. 1 to 64 of
    /// a-z, 0-9, _ and -.
    #[arg(long, env = "WEB_CHAT_BUS_NAMESPACE", default_value = "chat", value_name = "NAME")]
    pub bus_namespace: String,

    /// The name of this service among those on one database, in the metrics and in the lists of connections of the
    /// database and of NATS.
    #[arg(long, env = "WEB_CHAT_NODE_NAME", default_value = "web_chat", value_name = "NAME")]
    pub node_name: String,

    /// The number of messages shown when a channel is opened, and the most per page of older messages.
    #[arg(long, env = "WEB_CHAT_HISTORY", default_value_t = 100, value_name = "MESSAGES",
          value_parser = clap::value_parser!(u32).range(1..=1_000))]
    pub history: u32,

    /// The longest message, in characters.
    #[arg(long, env = "WEB_CHAT_TEXT_CHARS", default_value_t = 8_000, value_name = "CHARACTERS",
          value_parser = clap::value_parser!(u32).range(1..=8_000))]
    pub text_chars: u32,

    /// The largest file, in bytes.
    #[arg(long, env = "WEB_CHAT_ATTACHMENT_BYTES", default_value_t = 25 << 20, value_name = "BYTES")]
    pub attachment_bytes: u64,

    /// The most connections at the same time.
    #[arg(long, env = "WEB_CHAT_CONNECTIONS", default_value_t = 20_000, value_name = "NUMBER",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub connections: u32,

    /// The most connections per address at the same time. An office or a household may share one address. Behind a
    /// proxy (--trust-forwarded), the most WebSockets per address that the proxy names.
    #[arg(long, env = "WEB_CHAT_ADDRESS_CONNECTIONS", default_value_t = 12_500, value_name = "NUMBER",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub address_connections: u32,

    /// Compress no WebSocket messages, even if the browser offers it.
    #[arg(long, env = "WEB_CHAT_NO_DEFLATE")]
    pub no_deflate: bool,

    /// The number of open files to reserve for everything but connections (store, uploads, downloads), if the system's
    /// limit of open files is low.
    #[arg(long, env = "WEB_CHAT_RESERVED_FILES", default_value_t = 256, value_name = "NUMBER")]
    pub reserved_files: u32,

    /// The number of proxies in front that add a client's address to X-Forwarded-For or Forwarded. Every request must
    /// pass through all of them: bounds per address use the entry that the first one adds.
    #[arg(long, env = "WEB_CHAT_TRUST_FORWARDED", default_value_t = 0, value_name = "PROXIES",
          value_parser = clap::value_parser!(u8).range(0..=16))]
    pub trust_forwarded: u8,

    /// The most requests from one address at once, of any kind but health checks. After that, one per
    /// --request-interval.
    #[arg(long, env = "WEB_CHAT_REQUESTS", default_value_t = 10_000, value_name = "NUMBER",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub requests: u32,

    /// The time until an address may send one more request, in milliseconds.
    #[arg(long, env = "WEB_CHAT_REQUEST_INTERVAL", default_value_t = 2, value_name = "MILLISECONDS",
          value_parser = clap::value_parser!(u64).range(1..))]
    pub request_interval: u64,

    /// The most sign-ins from one address at once. After that, one per --sign-in-interval.
    #[arg(long, env = "WEB_CHAT_SIGN_INS", default_value_t = 100, value_name = "NUMBER",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub sign_ins: u32,

    /// The time until an address may sign in once more, in milliseconds.
    #[arg(long, env = "WEB_CHAT_SIGN_IN_INTERVAL", default_value_t = 1_000, value_name = "MILLISECONDS",
          value_parser = clap::value_parser!(u64).range(1..))]
    pub sign_in_interval: u64,

    /// The longest time to receive the body of a sign-in, in seconds.
    #[arg(long, env = "WEB_CHAT_SIGN_IN_TIMEOUT", default_value_t = 10, value_name = "SECONDS",
          value_parser = clap::value_parser!(u64).range(1..))]
    pub sign_in_timeout: u64,

    /// The most channels that one person can create at once. After that, one per --new-channel-interval.
    #[arg(long, env = "WEB_CHAT_NEW_CHANNELS", default_value_t = 60, value_name = "NUMBER",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub new_channels: u32,

    /// The time until a person can create one more channel, in seconds.
    #[arg(long, env = "WEB_CHAT_NEW_CHANNEL_INTERVAL", default_value_t = 60, value_name = "SECONDS",
          value_parser = clap::value_parser!(u64).range(1..))]
    pub new_channel_interval: u64,

    /// The most bytes of messages that one person can write per day.
    #[arg(long, env = "WEB_CHAT_MESSAGE_BYTES_PER_DAY", default_value_t = 1 << 30, value_name = "BYTES",
          value_parser = clap::value_parser!(u64).range(1..))]
    pub message_bytes_per_day: u64,

    /// The most bytes of files that one person can upload per day.
    #[arg(long, env = "WEB_CHAT_UPLOAD_BYTES_PER_DAY", default_value_t = 2 << 30, value_name = "BYTES",
          value_parser = clap::value_parser!(u64).range(1..))]
    pub upload_bytes_per_day: u64,

    /// The most bytes of messages that all people together can write per day. No bound by default.
    #[arg(long, env = "WEB_CHAT_TOTAL_MESSAGE_BYTES_PER_DAY", value_name = "BYTES",
          value_parser = clap::value_parser!(u64).range(1..))]
    pub total_message_bytes_per_day: Option<u64>,

    /// The most bytes of files that all people together can upload per day. No bound by default.
    #[arg(long, env = "WEB_CHAT_TOTAL_UPLOAD_BYTES_PER_DAY", value_name = "BYTES",
          value_parser = clap::value_parser!(u64).range(1..))]
    pub total_upload_bytes_per_day: Option<u64>,

    /// The most bytes of files that can be uploaded from one address per day.
    #[arg(long, env = "WEB_CHAT_ADDRESS_UPLOAD_BYTES_PER_DAY", default_value_t = 20 << 30, value_name = "BYTES",
          value_parser = clap::value_parser!(u64).range(1..))]
    pub address_upload_bytes_per_day: u64,

    /// The most bytes of stored files per person, optionally with a unit: 10GiB, 500MiB. A file counts until its
    /// message is deleted. A restart does not reset the count.
    #[arg(long, env = "WEB_CHAT_FILES_PER_USER", default_value = "10GiB", value_name = "BYTES", value_parser = bytes)]
    pub files_per_user: u64,

    /// The most bytes of stored files of all people. Uploads in progress may take up to 64 times
    /// --attachment-bytes more, until they are refused.
    #[arg(long, env = "WEB_CHAT_FILES_TOTAL", default_value = "100GiB", value_name = "BYTES", value_parser = bytes)]
    pub files_total: u64,

    /// The most channels that can exist.
    #[arg(long, env = "WEB_CHAT_CHANNELS", default_value_t = 10_000, value_name = "NUMBER",
          value_parser = clap::value_parser!(u32).range(1..))]
    pub channels: u32,

    /// The most names that can be taken at the same time.
    #[arg(long, env = "WEB_CHAT_NAMES", default_value_t = 100_000, value_name = "NUMBER")]
    pub names: u64,

    /// How long a name stays its person's, and a device stays signed in, without being used, in days. The owner's
    /// name stays.
    #[arg(long, env = "WEB_CHAT_NAME_TTL", default_value_t = 90, value_name = "DAYS",
          value_parser = clap::value_parser!(u32).range(1..=3_650))]
    pub name_ttl: u32,

    /// Who may take a new name: everybody who reaches the page (open), or those with an invitation of the owner
    /// (invite).
    #[arg(long, env = "WEB_CHAT_JOIN", default_value = "open", value_name = "WHO", value_enum)]
    pub join: Join,

    /// The name of the owner of the service, whose page lists all people. Whoever has this name is the owner, or takes
    /// it first. Without the option, the first person ever is the owner.
    #[arg(long, env = "WEB_CHAT_OWNER", value_name = "NAME", value_parser = display_name)]
    owner: Option<DisplayName>,

    /// Print a link at the start that signs the owner in, once and within ten minutes: for the first sign-in, so that
    /// nobody else is faster, and for an owner who is locked out. If there is no owner, --owner says the name.
    #[arg(long, env = "WEB_CHAT_OWNER_LINK")]
    pub owner_link: bool,

    /// The URL under which browsers see the service, such as `https://chat.example`. Repeat the option, or
    /// separate URLs by commas. Pages of these origins may sign in, connect and upload. With an https URL, the
    /// sign-in cookie is sent over HTTPS only. Other host names are refused (421). Without the option, every host
    /// name but localhost is refused: use localhost or an IP address. A proxy in front must keep the Host header
    /// (nginx: proxy_set_header Host $host).
    #[arg(long, env = "WEB_CHAT_ORIGIN", value_name = "URL", value_delimiter = ',')]
    pub origin: Vec<Origin>,

    /// The longest time of a drain, in seconds. SIGTERM drains: the service accepts nothing new, tells every
    /// client when to come back, answers accepted commands, and exits with 0. Ctrl-C drains for at most a second.
    /// A second SIGTERM or Ctrl-C exits at once. SIGHUP does nothing.
    #[arg(long, env = "WEB_CHAT_GRACE", default_value_t = 10, value_name = "SECONDS",
          value_parser = clap::value_parser!(u32).range(1..=3_600))]
    pub grace: u32,

    /// Send the sign-in cookie over HTTPS only, for requests of every origin. An --origin with https does this by
    /// itself.
    #[arg(long, env = "WEB_CHAT_SECURE_COOKIE")]
    pub secure_cookie: bool,

    /// The limit of open files, once it is known.
    #[arg(skip)]
    pub(crate) open_files: Option<u64>,
}

/// Parses the name of a person.
fn display_name(text: &str) -> Result<DisplayName, InvalidDisplayName> {
    DisplayName::new(text)
}

/// Parses a number of bytes, optionally with a unit of a power of 1,024.
fn bytes(text: &str) -> Result<u64, String> {
    let (number, unit) = text.split_at(text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len()));
    let bits = match unit.trim().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        "t" | "tb" | "tib" => 40,
        _ => return Err(format!("the unit {unit:?} is unknown: write KiB, MiB, GiB, TiB or none")),
    };
    let bytes = number.parse::<u64>().ok().and_then(|number| number.checked_mul(1 << bits));
    bytes.ok_or_else(|| format!("{text:?} is not a number of bytes: write one such as 1000, 500MiB or 10GiB"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_defaults_parse_and_an_empty_history_does_not() {
        let options = Options::parse_from(["web_chat"]);
        assert_eq!((options.listen.as_str(), options.history), ("127.0.0.1:3000", 100));
        assert!(Options::try_parse_from(["web_chat", "--history", "0"]).is_err());
    }

    #[test]
    fn byte_sizes_may_have_units() {
        for (text, expected) in [
            ("0", 0),
            ("1000", 1_000),
            ("5k", 5 << 10),
            ("500 MiB", 500 << 20),
            ("10GiB", 10 << 30),
            ("2TB", 2 << 40),
        ] {
            assert_eq!(bytes(text), Ok(expected), "{text}");
        }
        for text in ["", "GiB", "-1", "1.5GiB", "10XB", "99999999999999999999", "99999999TiB"] {
            let argument = format!("--files-total={text}");
            let error = Options::try_parse_from(["web_chat", &argument]).unwrap_err().to_string();
            assert!(error.contains("write"), "{text:?}: {error}");
        }
        let limits = Options::parse_from(["web_chat", "--files-per-user", "1k"]).limits();
        assert_eq!((limits.file_bytes_per_user, limits.file_bytes_total), (1_024, 100 << 30));
    }

    #[test]
    fn origins_may_repeat_or_be_separated_by_commas() {
        let listed = ["web_chat", "--origin", "https://a.example,http://b:3000", "--origin", "http://c"];
        let origins = Options::parse_from(listed).origin;
        let origins: Vec<String> = origins.iter().map(ToString::to_string).collect();
        assert_eq!(origins, ["https://a.example", "http://b:3000", "http://c"]);
        for wrong in ["chat.example", "https://chat.example/", "*"] {
            let error = Options::try_parse_from(["web_chat", "--origin", wrong]).unwrap_err().to_string();
            assert!(error.contains("https://chat.example"), "says how one is written: {error}");
        }
    }

    #[test]
    fn the_folder_option_works_before_and_after_a_command() {
        for arguments in [
            ["web_chat", "--data", "there", "backup", "one.tar"],
            ["web_chat", "backup", "--data", "there", "one.tar"],
            ["web_chat", "restore", "one.tar", "--data", "there"],
        ] {
            let options = Options::parse_from(arguments);
            assert_eq!(options.data, PathBuf::from("there"), "{arguments:?}");
            let Some(Command::Backup { file } | Command::Restore { file }) = options.command else {
                panic!("{arguments:?}")
            };
            assert_eq!(file, PathBuf::from("one.tar"));
        }
        let defaults = Options::parse_from(["web_chat", "backup", "one.tar"]);
        assert_eq!(defaults.data, PathBuf::from("web_chat-data"));
        assert!(Options::try_parse_from(["web_chat", "backup"]).is_err());
        assert!(Options::try_parse_from(["web_chat", "backup", "one.tar", "--memory"]).is_err());
    }

    #[test]
    fn files_are_in_the_database_if_there_is_one() {
        let url = ["web_chat", "--database-url", "postgresql://localhost/chat"];
        let with = |more: &[&'static str]| Options::parse_from(url.iter().chain(more)).files_in();
        assert_eq!(Options::parse_from(["web_chat"]).files_in(), FilesIn::Folder);
        assert_eq!((with(&[]), with(&["--files", "folder"])), (FilesIn::Database, FilesIn::Folder));
        assert!(Options::try_parse_from(["web_chat", "--files", "database"]).is_err());
    }

    #[test]
    fn a_search_index_needs_a_database() {
        let arguments = ["web_chat", "--search-index", "--database-url", "postgresql://localhost/chat"];
        assert!(Options::parse_from(arguments).search_index);
        assert!(!Options::parse_from(["web_chat"]).search_index);
        assert!(Options::try_parse_from(&arguments[..2]).is_err());
    }

    #[test]
    fn a_database_and_memory_exclude_each_other() {
        let url = ["web_chat", "--database-url", "postgresql://localhost/chat"];
        assert_eq!(Options::parse_from(url).database_url.as_deref(), Some(url[2]));
        assert!(Options::try_parse_from(url.iter().chain(&["--memory"])).is_err());
    }
}
