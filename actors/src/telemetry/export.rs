//! How spans leave the node: by [OTLP](https://opentelemetry.io/docs/specs/otlp/) over HTTP, in batches, from a thread of
//! its own. A collector that is slow or away costs spans, never calls.

use std::time::Duration;

use opentelemetry::trace::TracerProvider as _;
use opentelemetry::{Key, KeyValue};
use opentelemetry_otlp::{Protocol, WithExportConfig as _, WithHttpConfig as _};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::{Sampler, SdkTracerProvider};

use super::trace::Tracer;
use crate::config::{self, Telemetry};
use crate::tls;

/// How long the collector has to take what is left when the node ends.
const LAST: Duration = Duration::from_secs(5);
/// Where the signal goes below the endpoint.
const PATH: &str = "v1/traces";

/// Why nothing can be exported.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The exporter cannot be made of its settings.
    #[error("traces cannot be exported: {0}")]
    Exporter(#[from] opentelemetry_otlp::ExporterBuildError),
    /// The client for HTTP cannot be made.
    #[error("traces cannot be exported: {0}")]
    Client(#[from] reqwest::Error),
    /// No safe version of TLS.
    #[error("traces cannot be exported: {0}")]
    Tls(#[from] tls::Error),
    /// The thread that makes them has gone.
    #[error("traces cannot be exported: {0}")]
    Thread(#[from] tokio::task::JoinError),
}

/// What exports, until it is stopped.
#[derive(Debug, Clone, Default)]
pub struct Exporter(Option<SdkTracerProvider>);

impl Exporter {
    /// Starts to export what the node `node` records, if the settings name where to.
    ///
    /// # Errors
    /// What the settings or the variables of OpenTelemetry say cannot be done.
    pub async fn start(settings: &Telemetry, node: &str) -> Result<Self, Error> {
        let Some(endpoint) =
            settings.endpoint.clone().filter(|_| settings.exporter == config::Exporter::Otlp)
        else {
            return Ok(Self::default());
        };
        // The blocking client must be neither made nor dropped on a thread of the runtime.
        let timeout = Duration::from_millis(settings.timeout_ms);
        let exporter = tokio::task::spawn_blocking(move || exporter(&endpoint, timeout)).await??;
        let provider = SdkTracerProvider::builder()
            .with_sampler(sampler(settings))
            .with_resource(resource(node))
            .with_batch_exporter(exporter)
            .build();
        Ok(Self(Some(provider)))
    }

    /// What makes spans for it.
    #[must_use]
    pub fn tracer(&self) -> Tracer {
        self.0.as_ref().map_or_else(Tracer::default, |provider| Tracer::new(provider.tracer("callboard")))
    }

    /// Sends what is left, and ends. Nothing is recorded any more.
    pub async fn stop(&self) {
        let Some(provider) = self.0.clone() else { return };
        let stopped = tokio::task::spawn_blocking(move || provider.shutdown_with_timeout(LAST)).await;
        if !matches!(stopped, Ok(Ok(()))) {
            tracing::warn!("the collector did not take the last spans");
        }
    }
}

/// What the spans are spans of. The name that the variables of OpenTelemetry give the service wins.
fn resource(node: &str) -> Resource {
    let found = Resource::builder().build();
    let name = found.get(&Key::from_static_str("service.name")).map(|name| name.to_string());
    let name = name.filter(|name| !name.starts_with("unknown_service"));
    Resource::builder()
        .with_service_name(name.unwrap_or_else(|| "callboard".to_owned()))
        .with_attribute(KeyValue::new("service.version", env!("CARGO_PKG_VERSION")))
        .with_attribute(KeyValue::new("service.instance.id", node.to_owned()))
        .build()
}

fn exporter(endpoint: &str, timeout: Duration) -> Result<opentelemetry_otlp::SpanExporter, Error> {
    let trusted =
        if endpoint.starts_with("https:") { tls::of_the_system() } else { tls::RootCertStore::empty() };
    let client = reqwest::blocking::Client::builder();
    // What stands in its headers is for the collector alone.
    let client = client.no_proxy().redirect(reqwest::redirect::Policy::none());
    let client = client.tls_backend_preconfigured(tls::client(trusted)?).timeout(timeout).build()?;
    let exporter = opentelemetry_otlp::SpanExporter::builder()
        .with_http()
        .with_http_client(client)
        .with_protocol(Protocol::HttpBinary)
        .with_timeout(timeout)
        .with_endpoint(format!("{}/{PATH}", endpoint.trim_end_matches('/')))
        .build()?;
    Ok(exporter)
}

fn sampler(settings: &Telemetry) -> Sampler {
    use config::Sampler as Named;
    let ratio = || Sampler::TraceIdRatioBased(settings.ratio);
    let parent = |root| Sampler::ParentBased(Box::new(root));
    match settings.sampler {
        Named::AlwaysOn => Sampler::AlwaysOn,
        Named::AlwaysOff => Sampler::AlwaysOff,
        Named::Traceidratio => ratio(),
        Named::ParentbasedAlwaysOn => parent(Sampler::AlwaysOn),
        Named::ParentbasedAlwaysOff => parent(Sampler::AlwaysOff),
        Named::ParentbasedTraceidratio => parent(ratio()),
    }
}
