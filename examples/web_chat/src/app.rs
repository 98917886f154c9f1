//! The whole service: the pages, the app's own requests such as `/session`, and the chat under `/chat`.

use std::convert::Infallible;
use std::future::Future;
use std::io;
use std::path::PathBuf;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use chatcore::protocol::CloseReason;
use chatcore::store::StoreError;
use chatcore::{ChannelName, Chat, ChatBuilder, Clock, MemoryStore, User, UserId};
use chatcore_hyper::web::{OriginError, Origins, PerAddress, StaticFiles};
use chatcore_hyper::{Body, ChatService, ClientAddress, ServerConfig, serve};
use chatcore_postgres::PostgresStore;
use chatcore_redb::RedbStore;
use http::{Method, Request, Response, StatusCode};
use percent_encoding::percent_decode_str;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::AbortHandle;
use tower_service::Service;

use crate::accounts::{
    AccountStore, Accounts, AccountsError, PostgresAccounts, RedbAccounts, keep_maintained,
};
#[cfg(unix)]
use crate::backup;
use crate::backup::{Contents, remove_copies};
use crate::files;
use crate::folder;
use crate::operations::{Health, Operations, Responses, Sources};
use crate::options::Options;
use crate::page;
use crate::web::{Cookies, Route, Sessions, closing, refusal, too_many};

/// The path of the chat.
const BASE: &str = "/chat";

/// How long a jump of the clock must last before it affects the age and the issue time of tokens.
const PATIENCE: Duration = Duration::from_secs(60 * 60);

/// The channel that the first start creates.
const FIRST_CHANNEL: &str = "general";

/// The whole service, ready to be started.
#[derive(Debug)]
pub struct App {
    chat: Chat,
    service: WebChat,
    operations: Operations,
    server: ServerConfig,
    /// What a backup contains, unless everything is in memory.
    contents: Option<Contents>,
    /// The task that maintains accounts. It is aborted on drop.
    maintenance: AbortHandle,
    /// The temporary folder for the files of a chat in memory.
    _files: Option<TempDir>,
}

/// Why the service can't start.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The data folder can't be created or read.
    #[error("can't use the folder {}", .path.display())]
    Folder {
        /// The folder.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The message store can't be opened.
    #[error("can't open the messages")]
    Store(#[from] chatcore_redb::OpenError),
    /// The root certificates for the database can't be read.
    #[error("can't read {}", .path.display())]
    Certificates {
        /// The file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// Files of messages in the database are in the folder, and not in the database.
    #[error(
        "{} has files of messages, and files are kept in the database now: run web_chat move-files with the same --data \
         and --database-url while no service runs, or leave them there with --files folder",
        .0.display()
    )]
    FilesInFolder(PathBuf),
    /// The files in the database can't be listed.
    #[error("can't compare the files in the folder with the database")]
    Files(#[from] StoreError),
    /// The database can't be used.
    #[error("can't open the messages")]
    Database(#[from] chatcore_postgres::ConnectError),
    /// A bus was chosen without a database.
    #[error("a bus needs a database that the services share: set --database-url, or leave out --bus")]
    BusNeedsDatabase,
    /// The bus on NATS can't be set up.
    #[error("can't use the bus")]
    Nats(#[from] chatcore_nats::ConnectError),
    /// The accounts can't be opened.
    #[error(transparent)]
    Accounts(#[from] AccountsError),
    /// The first channel can't be created.
    #[error("can't create the first channel")]
    Channel(#[from] chatcore::Error),
}

/// The opened stores.
struct Stored {
    builder: ChatBuilder,
    accounts: Arc<dyn AccountStore>,
    database: Option<PostgresStore>,
    /// The messages and accounts, if they are in files.
    embedded: Option<(RedbStore, Arc<RedbAccounts>)>,
    /// The temporary folder for files, if the chat is in memory.
    folder: Option<TempDir>,
}

impl Stored {
    async fn open(options: &Options) -> Result<Self, OpenError> {
        if !options.memory {
            let data = options.data.clone();
            let made = off_the_workers(move || folder::check(&data).and_then(|()| folder::open(&data))).await;
            made.map_err(|source| OpenError::Folder { path: options.data.clone(), source })?;
        }
        let wait = options.limits().store_timeout;
        if let Some(url) = &options.database_url {
            let store = options.database(url).await?;
            let database = store.clone().connect().await?;
            let mut builder = Chat::builder(database.clone());
            if let Some(bus) = Box::pin(options.open_bus(Some(&store))).await? {
                builder = builder.bus(bus);
            }
            let database = Some(database);
            let accounts = Arc::new(PostgresAccounts::open(&store).await?);
            return Ok(Self { builder, accounts, database, embedded: None, folder: None });
        }
        Box::pin(options.open_bus(None)).await?;
        if options.memory {
            let folder = TempDir::with_prefix("web_chat-")
                .map_err(|source| OpenError::Folder { path: std::env::temp_dir(), source })?;
            let accounts = Arc::new(RedbAccounts::in_memory(wait)?);
            return Ok(Self {
                builder: Chat::builder(MemoryStore::new()),
                accounts,
                database: None,
                embedded: None,
                folder: Some(folder),
            });
        }
        let data = options.data.clone();
        // Opening waits until a previous process releases the files.
        let opened = off_the_workers(move || {
            let store = RedbStore::open(data.join("chat.redb"))?;
            let accounts = RedbAccounts::open(&data.join("accounts.redb"), wait)?;
            // This process has the files now, so no other process is making a backup of them.
            remove_copies(&data).map_err(|source| OpenError::Folder { path: data, source })?;
            Ok::<_, OpenError>((store, accounts))
        });
        let (store, accounts) = opened.await?;
        let (builder, accounts) = (Chat::builder(store.clone()), Arc::new(accounts));
        let embedded = Some((store, Arc::clone(&accounts)));
        Ok(Self { builder, accounts, database: None, embedded, folder: None })
    }
}

impl Options {
    /// Returns the store's builder for the database at `url`.
    pub(crate) async fn database(&self, url: &str) -> Result<chatcore_postgres::Builder, OpenError> {
        let store =
            PostgresStore::builder(url).search_index(self.search_index).application_name(&self.node_name);
        let Some(path) = &self.database_ca else { return Ok(store) };
        let pem = tokio::fs::read(path)
            .await
            .map_err(|source| OpenError::Certificates { path: path.clone(), source })?;
        Ok(store.root_certificates(&pem))
    }
}

/// Runs blocking work on a thread for blocking work.
pub(crate) async fn off_the_workers<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

impl App {
    /// Opens the data, or creates it.
    ///
    /// # Errors
    /// [`OpenError`] says what can't be opened.
    pub async fn open(options: &Options) -> Result<Self, OpenError> {
        let Stored { builder, accounts, database, embedded, folder } = Stored::open(options).await?;
        let data = folder.as_ref().map_or(&*options.data, TempDir::path);
        let blobs = files::open(options.files_in(), data, database.as_ref()).await?;
        let chat = builder.blobs(blobs).limits(options.limits()).base(BASE).build();
        let host = User::new("u_web_chat", "web_chat").expect("invariant: a valid id");
        let first = ChannelName::new(FIRST_CHANNEL).expect("invariant: a valid name");
        chat.ensure_channel(&first, "What everyone should know", &host).await?;
        let origins = options.origins();
        let clock = Clock::default();
        let accounts = Accounts::new(accounts, options.rules());
        accounts.settle_owner().await?;
        let ending = chat.clone();
        let gone = move |user: &UserId| ending.disconnect(user, CloseReason::SignedOut);
        let maintenance = keep_maintained(accounts.clone(), clock.clone(), chat.failures().clone(), gone);
        let sessions = Sessions {
            accounts,
            clock: clock.steady(PATIENCE),
            body_time: Duration::from_secs(options.sign_in_timeout),
            cookies: Cookies { secure: options.secure_cookie, origins: origins.clone() },
            origins: origins.clone(),
            sign_ins: Arc::new(PerAddress::new(options.sign_ins())),
            failures: chat.failures().clone(),
            exports: Arc::new(Semaphore::new(1)),
        };
        let (health, responses) = (Health::new(chat.clone()), Responses::default());
        let node = options.node_name.clone();
        let sources = Sources { chat: chat.clone(), responses: responses.clone(), database, node };
        let operations = Operations::new(health.clone(), sources);
        let service = WebChat {
            chat: chat.clone(),
            health,
            responses,
            chat_service: ChatService::builder(chat.clone(), sessions.clone())
                .origins(origins.clone())
                .config(options.config())
                .build(),
            sessions,
            requests: Arc::new(PerAddress::new(options.requests())),
            origins,
            page: StaticFiles::embedded(page::FILES),
        };
        let contents = (!options.memory).then(|| Contents {
            data: options.data.clone(),
            databases: embedded,
            chat: Some(chat.clone()),
        });
        let maintenance = tokio::spawn(maintenance).abort_handle();
        let server = options.server();
        Ok(Self { chat, service, operations, server, contents, maintenance, _files: folder })
    }

    /// Returns the chat, for the app's own code.
    #[must_use]
    pub fn chat(&self) -> &Chat {
        &self.chat
    }

    /// Returns the service for an operator's tools, for a separate listener.
    #[must_use]
    pub fn operations(&self) -> Operations {
        self.operations.clone()
    }

    /// Makes a link that signs the owner of the service in, once and within ten minutes. Returns the code in it, or `None`
    /// if nobody is the owner and nobody can be: there is no `--owner`, or somebody else has its name.
    ///
    /// # Errors
    /// If the accounts can't be read or written.
    pub async fn owner_link(&self) -> Result<Option<String>, AccountsError> {
        let Sessions { accounts, clock, .. } = &self.service.sessions;
        Ok(accounts.owner_link(clock.now()).await?.map(|(_, code)| code.to_string()))
    }

    /// Serves on `listener` until `shutdown` completes, and then until the chat has drained. Meanwhile, a socket
    /// in the data folder accepts backup commands.
    ///
    /// # Errors
    /// If the listener is invalid.
    pub async fn serve(
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()> + Send + 'static,
    ) -> io::Result<()> {
        #[cfg(unix)]
        let _backups = self.contents.clone().and_then(|contents| {
            let data = contents.data.display().to_string();
            backup::listen(contents)
                .inspect_err(|error| tracing::warn!(%data, %error, "backups are possible only while the service is stopped"))
                .ok()
        });
        let chat = self.chat.clone();
        let drain = async move {
            shutdown.await;
            chat.drain();
        };
        let server = serve(listener, self.service.clone()).with_config(self.server.clone());
        server.with_graceful_shutdown(drain).await
    }
}

impl Drop for App {
    fn drop(&mut self) {
        self.maintenance.abort();
    }
}

/// The service over HTTP: the pages, the app's own requests such as `/session`, and the chat under `/chat`.
#[derive(Clone)]
pub struct WebChat {
    chat: Chat,
    health: Health,
    responses: Responses,
    chat_service: ChatService,
    sessions: Sessions,
    /// The allowance of requests per address, for everything but the chat, which has its own.
    requests: Arc<PerAddress>,
    origins: Origins,
    page: StaticFiles,
}

impl WebChat {
    async fn answer<B>(&mut self, request: Request<B>) -> Response<Body>
    where
        B: http_body::Body + Send + 'static,
        B::Data: Send,
        B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
    {
        let (parts, body) = request.into_parts();
        if let Err(error) = self.origins.check(&parts) {
            let mut response = refused(&error);
            self.origins.share(&parts.headers, &mut response);
            return response;
        }
        // Each path is decoded once, only for comparisons here.
        let raw = parts.uri.path();
        let path = &*percent_decode_str(raw).decode_utf8_lossy();
        let first = raw.strip_prefix('/').and_then(|rest| rest.split_once('/')).map(|(first, _)| first);
        if first.is_some_and(|first| percent_decode_str(first).eq(BASE.bytes().skip(1))) {
            let Ok(response) = self.chat_service.call(Request::from_parts(parts, body)).await;
            return response;
        }
        if let Some(answer) = self.health.answer(&parts.method, path).await {
            return answer;
        }
        let address = parts.extensions.get::<ClientAddress>();
        if let Err(error) = address.map_or(Ok(()), |address| self.requests.take(*address)) {
            return too_many(error);
        }
        let mut response = if path == "*" && parts.method == Method::OPTIONS {
            // `OPTIONS *` is about the server as a whole, which has nothing to say.
            let mut response = Response::new(Body::empty());
            *response.status_mut() = StatusCode::NO_CONTENT;
            response
        } else if let Some(route) = Route::of(path) {
            self.sessions.answer(&self.chat, &route, &parts, body).await
        } else {
            self.page.answer(&parts.method, &parts.headers, page::file_of(raw)).await
        };
        self.origins.share(&parts.headers, &mut response);
        response
    }
}

/// Refuses a request because of its host or its origin, and names the option that would allow it.
fn refused(error: &OriginError) -> Response<Body> {
    let why = match (error.misdirected_host(), error.foreign_origin()) {
        (Some(host), _) => format!(
            "web_chat does not serve the host \"{host}\": start it with --origin https://{host} (http:// if it is \
             served without TLS), or reach it by localhost or an IP address; a proxy in front has to keep \
             the Host header (nginx: proxy_set_header Host $host)"
        ),
        (_, Some(origin)) => {
            format!("pages of {origin} may not use this service: start it with --origin {origin} if they may")
        }
        _ => error.to_string(),
    };
    closing(refusal(error.status(), error.code(), why))
}

impl<B> Service<Request<B>> for WebChat
where
    B: http_body::Body + Send + 'static,
    B::Data: Send,
    B::Error: Into<Box<dyn std::error::Error + Send + Sync>>,
{
    type Response = Response<Body>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Response<Body>, Infallible>> + Send>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: Request<B>) -> Self::Future {
        let mut app = self.clone();
        Box::pin(async move {
            let mut response = app.answer(request).await;
            app.responses.count(response.status());
            page::protect(&mut response);
            Ok(response)
        })
    }
}

impl std::fmt::Debug for WebChat {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("WebChat").field("chat", &self.chat).finish_non_exhaustive()
    }
}
