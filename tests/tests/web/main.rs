//! What a browser and a proxy see: HTTP, the page, files and their previews, origins and sessions.

mod client_files;
mod http;
mod http_methods;
mod origins;
mod people;
mod previews;
#[cfg(target_os = "linux")]
mod proxies;
mod sign_in;
mod sizes;
