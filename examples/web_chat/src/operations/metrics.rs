//! The metrics of the service for Prometheus. `docs/operations.md` describes each.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use chatcore::{BusStats, Chat, Histogram, Stats};
use chatcore_postgres::PostgresStore;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeMetric, NoLabelSet, text,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::metrics::counter::ConstCounter;
use prometheus_client::metrics::gauge::ConstGauge;
use prometheus_client::registry::Registry;

use super::process::Process;
use super::responses::Responses;

/// The media type of the output of [`encode`].
pub(super) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// The sources of the metrics.
#[derive(Debug)]
pub(crate) struct Sources {
    pub(crate) chat: Chat,
    pub(crate) responses: Responses,
    pub(crate) database: Option<PostgresStore>,
    /// The name of this service.
    pub(crate) node: String,
}

/// Writes the current values of all metrics.
pub(super) fn encode(sources: &Arc<Sources>) -> String {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(Figures(Arc::clone(sources))));
    let mut out = String::new();
    text::encode(&mut out, &registry).expect("invariant: a string takes what is written");
    out
}

#[derive(Debug)]
struct Figures(Arc<Sources>);

impl Collector for Figures {
    fn encode(&self, encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let Sources { chat, responses, database, node } = &*self.0;
        let mut page = Page(encoder);
        page.gauges(
            "chatcore_build_info",
            "The version that runs; the value is 1",
            "version",
            [(env!("CARGO_PKG_VERSION"), 1_u64)],
        )?;
        let help = "The name of this service among those on one database; the value is 1";
        page.gauges("web_chat_node_info", help, "node", [(node.as_str(), 1_u64)])?;
        let stats = chat.stats();
        held(&mut page, chat, &stats)?;
        counted(&mut page, &stats)?;
        if let Some(bus) = &stats.bus {
            other_nodes(&mut page, bus)?;
        }
        let statuses: Vec<_> = responses.counts().map(|(status, n)| (status.to_string(), n)).collect();
        page.counters(
            "web_chat_http_responses",
            "Answered requests, by status; 101 is a WebSocket",
            "status",
            statuses.iter().map(|(status, n)| (status.as_str(), *n)),
        )?;
        if let Some(store) = database {
            let pool = store.pool_status();
            let of = [("open", pool.size), ("idle", pool.available), ("most", pool.max_size)];
            page.gauges("chatcore_database_connections", "Connections to the database", "state", of)?;
            let help = "Reads that wait for a connection to the database now";
            page.gauge("chatcore_database_waiting", help, pool.waiting)?;
        }
        process(&mut page, &Process::read())
    }
}

/// Writes the gauges and their limits.
fn held(page: &mut Page<'_>, chat: &Chat, stats: &Stats) -> fmt::Result {
    page.gauge("chatcore_connections", "Connections open now", stats.connections)?;
    page.gauge("chatcore_users", "Users with an open connection now", stats.users)?;
    page.gauge("chatcore_subscriptions", "Subscriptions of all connections now", stats.subscriptions)?;
    page.gauge("chatcore_loaded_channels", "Channels in memory now", stats.loaded_channels)?;
    page.gauge("chatcore_ring_bytes", "Bytes of the log that are in memory now", stats.ring_bytes)?;
    page.gauge(
        "chatcore_answer_bytes",
        "Bytes reserved for large answers that are made or not yet written",
        stats.answer_bytes,
    )?;
    page.gauge(
        "chatcore_command_bytes",
        "Bytes of commands that wait for their answer",
        stats.command_bytes,
    )?;
    page.gauge("chatcore_append_queue", "Appends that wait for the store now", stats.append_queue)?;
    page.gauge("chatcore_searches_running", "Searches running now", stats.searches_running)?;
    page.gauge("chatcore_uploads_running", "Uploads running now", stats.uploads_running)?;
    page.gauge("chatcore_draining", "1 while the service goes away", u64::from(chat.is_draining()))?;
    let limits = chat.limits();
    let limits = [
        ("connections", limits.connections),
        ("loaded_channels", limits.loaded_channels),
        ("ring_bytes", limits.rings_bytes_total),
        ("answer_bytes", limits.outgoing_bytes_total),
        ("command_bytes", limits.command_bytes_total),
        ("append_queue", limits.append_queue * limits.append_groups),
        ("uploads_running", limits.uploads),
    ];
    let help = "The most that the gauge of that name can be, by the service's limits";
    page.gauges("chatcore_limit", help, "limit", limits)
}

/// Writes what is heard of the other services on the database.
fn other_nodes(page: &mut Page<'_>, bus: &BusStats) -> fmt::Result {
    let help = "1 while this service hears itself on the bus";
    page.gauge("chatcore_bus_heard", help, u64::from(bus.is_heard))?;
    page.gauge("chatcore_bus_peers", "Other services heard on the bus now", bus.peers)?;
    let help = "How long the last probe took through the bus and back";
    page.gauge("chatcore_bus_probe_seconds", help, bus.probe.as_secs_f64())?;
    page.counter("chatcore_bus_envelopes", "Envelopes of other services", bus.envelopes)?;
    let help = "From an envelope's publish at another service to its arrival, as far as the clocks agree";
    page.histogram("chatcore_bus_lag_seconds", help, &bus.lag)?;
    page.counter("chatcore_bus_gaps", "Times that envelopes of another service were missing", bus.gaps)?;
    let help = "Times that the store was asked for the heads of the channels in memory";
    page.counter("chatcore_bus_resyncs", help, bus.resyncs)?;
    page.counter("chatcore_bus_reordered", "Events that had to wait for those before them", bus.reordered)?;
    let help = "What was not told, or only as the head of its channel, since too much waited";
    page.counter("chatcore_bus_dropped", help, bus.dropped)?;
    page.counter("chatcore_bus_unpublished", "Envelopes that the bus did not take", bus.unpublished)
}

/// Writes the counters since the start.
fn counted(page: &mut Page<'_>, stats: &Stats) -> fmt::Result {
    page.counter("chatcore_connections_opened", "Connections that were opened", stats.connections_opened)?;
    page.counters(
        "chatcore_connections_closed",
        "Connections that have ended or were refused, by close code",
        "code",
        stats.closes.iter().map(|(reason, n)| (reason.code().to_string(), *n)),
    )?;
    page.counter("chatcore_publishes", "Messages that were stored", stats.publishes)?;
    page.counter("chatcore_duplicates", "Publishes that repeated a nonce", stats.duplicates)?;
    page.counter("chatcore_append_batches", "Batches given to the store", stats.append_batches)?;
    page.counter("chatcore_append_events", "Events that were stored", stats.append_events)?;
    page.counter("chatcore_append_failures", "Events that could not be stored", stats.append_failures)?;
    page.histogram("chatcore_append_seconds", "How long the store took for a batch", &stats.append_time)?;
    let help = "How long an event took from its command to its delivery, but for the last write";
    page.histogram("chatcore_publish_seconds", help, &stats.publish_time)?;
    page.counter("chatcore_deliveries", "Log events handed to connections", stats.deliveries)?;
    page.counter("chatcore_lagged", "Subscriptions that fell behind their channel", stats.lagged)?;
    let help = "Frames outside the log that were dropped for a slow connection";
    page.counter("chatcore_dropped_frames", help, stats.dropped_frames)?;
    let help = "Channels read again from the store after a failed append";
    page.counter("chatcore_repairs", help, stats.repairs)?;
    page.counter("chatcore_resets", "Resumed subscriptions that had to begin anew", stats.resets)?;
    page.counters(
        "chatcore_refusals",
        "Refused commands, by error code",
        "code",
        stats.refusals.iter().map(|(code, n)| (code.as_str(), *n)),
    )?;
    page.counter("chatcore_uploads", "Files that were uploaded", stats.uploads)?;
    page.counter("chatcore_upload_bytes", "Bytes of the files that were uploaded", stats.upload_bytes)
}

/// Writes the standard metrics of a process.
fn process(page: &mut Page<'_>, process: &Process) -> fmt::Result {
    let gauges = [
        ("process_resident_memory_bytes", "Memory in use", process.resident_bytes),
        ("process_virtual_memory_bytes", "Address space in use", process.virtual_bytes),
        ("process_threads", "Threads", process.threads),
        ("process_open_fds", "Open files and sockets", process.open_files),
        ("process_max_fds", "The most files and sockets that can be open", process.most_files),
    ];
    for (name, help, value) in gauges {
        if let Some(value) = value {
            page.gauge(name, help, value)?;
        }
    }
    if let Some(seconds) = process.cpu_seconds {
        page.counter("process_cpu_seconds", "Time of the processors that was used", seconds)?;
    }
    if let Some(started) = process.started {
        page.gauge("process_start_time_seconds", "When the process started, since 1970", started)?;
    }
    Ok(())
}

/// The page of metrics while it is written.
struct Page<'a>(DescriptorEncoder<'a>);

impl Page<'_> {
    fn gauge(&mut self, name: &str, help: &str, value: impl EncodeGaugeValue) -> fmt::Result {
        ConstGauge::new(value).encode(self.0.encode_descriptor(name, help, None, MetricType::Gauge)?)
    }

    /// Writes a gauge for each value of one label.
    fn gauges<L: AsRef<str>>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (L, impl EncodeGaugeValue)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Gauge)?;
        for (of, value) in values {
            ConstGauge::new(value).encode(family.encode_family(&[(label, of.as_ref())])?)?;
        }
        Ok(())
    }

    fn counter(&mut self, name: &str, help: &str, value: impl EncodeCounterValue) -> fmt::Result {
        ConstCounter::new(value).encode(self.0.encode_descriptor(name, help, None, MetricType::Counter)?)
    }

    /// Writes a counter for each value of one label.
    fn counters<L: AsRef<str>>(
        &mut self,
        name: &str,
        help: &str,
        label: &str,
        values: impl IntoIterator<Item = (L, u64)>,
    ) -> fmt::Result {
        let mut family = self.0.encode_descriptor(name, help, None, MetricType::Counter)?;
        for (of, value) in values {
            ConstCounter::new(value).encode(family.encode_family(&[(label, of.as_ref())])?)?;
        }
        Ok(())
    }

    fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram) -> fmt::Result {
        let bound = |bound: Option<Duration>| bound.map_or(f64::INFINITY, |bound| bound.as_secs_f64());
        let buckets: Vec<_> = histogram.buckets().map(|(to, count)| (bound(to), count)).collect();
        let mut encoder = self.0.encode_descriptor(name, help, None, MetricType::Histogram)?;
        let sum = histogram.sum().as_secs_f64();
        encoder.encode_histogram::<NoLabelSet>(sum, histogram.count(), &buckets, None)
    }
}
