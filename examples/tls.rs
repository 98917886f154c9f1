//! A chat over HTTPS with a self-signed certificate: `cargo run --example tls`, then `curl --cacert
//! certificate.pem -X POST https://localhost:3443/chat/identity`. A real service reads its certificate and its key
//! from files.

use std::sync::Arc;

use chatcore::{Chat, MemoryStore};
use chatcore_hyper::{ChatService, ClientAddress, Unauthorized, http::request::Parts};
use hyper::server::conn::http1;
use hyper::{Request, body::Incoming};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tower::ServiceExt;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let own = rcgen::generate_simple_self_signed(["localhost".to_owned(), "127.0.0.1".to_owned()])?;
    std::fs::write("certificate.pem", own.cert.pem())?;
    let key = own.signing_key.serialize_der().try_into()?;
    let tls = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![own.cert.into()], key)?;
    let tls = TlsAcceptor::from(Arc::new(tls));

    let chat = Chat::builder(MemoryStore::new()).base("/chat").build();
    let service = ChatService::new(chat, async |_: &Parts| Err(Unauthorized));
    let address = std::env::args().nth(1).unwrap_or_else(|| "127.0.0.1:3443".to_owned());
    let listener = tokio::net::TcpListener::bind(address).await?;
    println!("Ask https://{}", listener.local_addr()?);
    loop {
        let (tcp, peer) = listener.accept().await?;
        let (tls, service) = (tls.clone(), service.clone());
        tokio::spawn(async move {
            let Ok(stream) = tls.accept(tcp).await else { return };
            // The limits per address need the address.
            let service = service.map_request(move |mut request: Request<Incoming>| {
                request.extensions_mut().insert(ClientAddress::new(peer.ip()));
                request
            });
            let service = TowerToHyperService::new(service);
            let http = http1::Builder::new()
                .timer(TokioTimer::new())
                .serve_connection(TokioIo::new(stream), service);
            let _ = http.with_upgrades().await;
        });
    }
}
