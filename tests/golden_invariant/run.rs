//! A run from start to verdict.

use std::fmt::Write as _;
use std::io::Write as _;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use rustls::pki_types::CertificateDer;
use tempfile::TempDir;
use tokio::net::TcpListener;
use tokio::runtime::Builder;
use tokio::task::JoinSet;
use vestibule::clock::Stopwatch;

use super::acts::Protocol;
use super::connection::{Place, trusting};
use super::counts::Event;
use super::dice::Dice;
use super::gateway::{Gateway, Site};
use super::pace::THOUGHT;
use super::provider::Provider;
use super::session::Store;
use super::settings::{CONNECTIONS, Settings};
use super::soak::{self, Happened, Watch};
use super::upstream;
use super::world::{HOST, World};

/// How often the gateways are looked at.
const LOOK: Duration = Duration::from_secs(1);
/// How long requests under way may take once the run is over.
const DRAIN: Duration = Duration::from_secs(70);

#[test]
fn no_request_and_no_answer_carries_another_persons_identity() {
    let settings = Settings::read();
    let _ = rustls::crypto::aws_lc_rs::default_provider().install_default();
    let runtime = Builder::new_multi_thread().worker_threads(2).enable_all().build().expect("a runtime");
    let verdict = runtime.block_on(run(&settings));
    runtime.shutdown_background();
    if let Err(why) = verdict {
        panic!("seed {}: {why}", settings.seed);
    }
}

async fn run(settings: &Settings) -> Result<(), String> {
    let folder = tempfile::tempdir().map_err(|error| format!("no folder: {error}"))?;
    let certificate = certificate(&folder);
    let (provider, behind) = (listen().await, listen().await);
    let world = Arc::new(World::new(address(&provider), settings.seed));
    tokio::spawn(Provider::serve(Arc::clone(&world), provider));
    tokio::spawn(Provider::rotate(Arc::clone(&world)));
    tokio::spawn(keep_pace(Arc::clone(&world)));
    let upstream = address(&behind);
    tokio::spawn(upstream::serve(Arc::clone(&world), behind));

    let site = Site { program: &settings.vestibule, folder: folder.path(), upstream };
    let mut gateways = Vec::new();
    for store in Store::BOTH {
        let mut gateway = Gateway::start(&site, &world, store).expect("the gateway starts");
        gateway.ready(&world).await;
        gateways.push(gateway);
    }
    let watch = Stopwatch::start();
    let mut clients = connect(&world, &gateways, &certificate, settings.seed);
    let watches = watch_over(settings, &world, &gateways, &watch).await;
    let took = watch.elapsed();
    world.stop();
    let drained = tokio::time::timeout(DRAIN, async { while clients.join_next().await.is_some() {} }).await;
    report(settings, &world, &watches, took);

    let logs = || gateways.iter().map(Gateway::logs).collect::<Vec<_>>().join("\n");
    if world.broken.any() {
        return Err(format!("after {:.1} s\n{}\n{}", took.as_secs_f64(), world.broken.report(), logs()));
    }
    if drained.is_err() {
        return Err(format!("requests never ended\n{}", logs()));
    }
    let missing = world.counts.missing(settings.requests, settings.events);
    if !missing.is_empty() {
        return Err(format!("too little has happened to prove anything: {}\n{}", missing.join(", "), logs()));
    }
    if settings.time >= soak::LEAST {
        let growth: Vec<String> = watches.iter().filter_map(Watch::growth).collect();
        if !growth.is_empty() {
            return Err(growth.join("\n"));
        }
    }
    Ok(())
}

async fn keep_pace(world: Arc<World>) {
    while !world.is_over() {
        tokio::time::sleep(THOUGHT).await;
        world.pace.think();
    }
}

/// Half of the connections speak HTTP/1.1, of which half over TLS; half speak HTTP/2.
fn connect(
    world: &Arc<World>,
    gateways: &[Gateway],
    certificate: &CertificateDer<'static>,
    seed: u64,
) -> JoinSet<()> {
    let mut clients = JoinSet::new();
    let http1 = trusting(certificate, Protocol::Http1);
    let http2 = trusting(certificate, Protocol::Http2);
    for index in 0..CONNECTIONS {
        let gateway = &gateways[index % gateways.len()];
        let of_four = index / gateways.len() % 4;
        let (address, tls) = match of_four {
            0 => (gateway.plain, None),
            1 => (gateway.tls, Some(Arc::clone(&http1))),
            _ => (gateway.tls, Some(Arc::clone(&http2))),
        };
        let number = u64::try_from(index).unwrap_or_default();
        let dice = Dice::new(seed, 1000 + number);
        let place = Place { world: Arc::clone(world), store: gateway.store, address, tls, dice };
        if of_four < 2 {
            clients.spawn(place.http1());
        } else {
            clients.spawn(place.http2());
        }
    }
    clients
}

/// Waits for the end: the time is up and enough has happened, or a rule was broken.
async fn watch_over(
    settings: &Settings,
    world: &World,
    gateways: &[Gateway],
    watch: &Stopwatch,
) -> Vec<Watch> {
    let mut watches: Vec<Watch> = gateways.iter().map(Watch::of).collect();
    let mut held = false;
    while !world.is_over() {
        if !held && settings.time >= soak::LEAST && watch.elapsed() >= soak::warm_up(settings.time) {
            held = true;
            world.pace.hold();
        }
        let enough = world.counts.missing(settings.requests, settings.events).is_empty();
        let elapsed = watch.elapsed();
        if (elapsed >= settings.time && enough) || elapsed >= settings.patience() {
            break;
        }
        tokio::time::sleep(LOOK.min(settings.time.saturating_sub(elapsed)).max(Duration::from_millis(50)))
            .await;
        for (watch, gateway) in watches.iter_mut().zip(gateways) {
            watch.look(gateway, Happened::of(&world.counts));
        }
    }
    watches
}

fn report(settings: &Settings, world: &World, watches: &[Watch], took: Duration) {
    let seconds = took.as_secs_f64();
    let requests = world.counts.of(Event::Request);
    #[expect(clippy::cast_precision_loss, reason = "counts of requests are far below 2^52")]
    let rate = requests as f64 / seconds.max(0.001);
    let mut text = format!(
        "golden invariant: seed {}, {seconds:.1} s, {requests} requests ({rate:.0} a second, at last {} at once)\n{}\nanswers {}\n",
        settings.seed,
        world.pace.limit(),
        world.counts,
        world.statuses(),
    );
    for watch in watches {
        let _ = writeln!(text, "{watch}");
    }
    // Not by a macro: the test harness would keep it to itself.
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// A certificate and its key, as files too.
fn certificate(folder: &TempDir) -> CertificateDer<'static> {
    let made = rcgen::generate_simple_self_signed([HOST.to_owned()]).expect("a certificate");
    let write = |name: &str, text: String| {
        let file = folder.path().join(name);
        std::fs::write(&file, text).expect("a file");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            std::fs::set_permissions(&file, std::fs::Permissions::from_mode(0o600)).expect("a private file");
        }
    };
    write("tls.crt", made.cert.pem());
    write("tls.key", made.signing_key.serialize_pem());
    made.cert.der().clone()
}

async fn listen() -> TcpListener {
    TcpListener::bind(("127.0.0.1", 0)).await.expect("a port")
}

fn address(listener: &TcpListener) -> SocketAddr {
    listener.local_addr().expect("an address")
}
