//! `sigma-agent once`: what the agent would tell others about this host, read once; nothing is sent and nobody is asked.

mod show;

use std::sync::Arc;

use periodic::Supervisor;
use serde_json::Value;
use tokio::sync::watch;

use crate::app::block_on;
use crate::cli::{Config, Form, OnceWanted};
use crate::http::{self, Routes};
use crate::place::Place;
#[cfg(feature = "sigma")]
use crate::ports::{Holders, Ports};
use crate::shared::Shared;
use crate::terminal::Progress;
#[cfg(any(feature = "luna", feature = "sigma"))]
use show::{span, value};

/// Something that others get to know.
struct Told {
    what: &'static str,
    /// Who gets to know it.
    to: String,
    when: String,
    /// `None`: nothing about this host, or too much to show here.
    body: Option<Value>,
}

/// The text to print.
pub(crate) fn run(wanted: OnceWanted, progress: &Progress) -> Result<String, String> {
    progress.at("reading this host");
    let here = Here::new(wanted.config);
    if wanted.form == Form::Metrics {
        return here.metrics();
    }
    let mut told = Vec::new();
    block_on(async {
        #[cfg(feature = "sigma")]
        here.sigma(&mut told).await?;
        #[cfg(feature = "guest")]
        here.guest(&mut told).await?;
        Ok(())
    })?;
    #[cfg(feature = "luna")]
    here.push(&mut told);
    here.pages(&mut told)?;
    Ok(match wanted.form {
        Form::Json => show::as_json(here.config.role, &told),
        _ => show::for_people(here.config.role, &told),
    })
}

/// This host, and an agent that is built but never started.
struct Here {
    config: Arc<Config>,
    settings: watch::Sender<Arc<Config>>,
    place: Place,
    shared: Arc<Shared>,
    supervisor: Supervisor,
}

impl Here {
    fn new(config: Config) -> Self {
        let config = Arc::new(config);
        Self {
            place: Place::new(&config.host),
            settings: watch::Sender::new(Arc::clone(&config)),
            shared: Arc::new(Shared::new()),
            supervisor: Supervisor::new(0),
            config,
        }
    }

    /// Registration and heartbeat, with the addresses that this host can tell by itself.
    #[cfg(feature = "sigma")]
    async fn sigma(&self, told: &mut Vec<Told>) -> Result<(), String> {
        use crate::loops::register_heartbeat::Registrar;
        use crate::shared::Listening;

        let Some(sigma) = &self.config.sigma else {
            return Ok(());
        };
        if let Some(http) = &self.config.http
            && let Some(port) = http.ports.first()
        {
            // What is told is the same as if the port could be opened.
            self.shared.set_listening(Listening {
                port: *port,
                #[cfg(feature = "aegis")]
                address: http.address,
                ipv6: http.address.is_ipv6() && !http.address.is_loopback(),
            });
        }
        let outside = self.look_up(told).await;
        let mut registrar = Registrar::new(
            self.settings.subscribe(),
            outside.subscribe(),
            self.place.clone(),
            Arc::clone(&self.shared),
            self.supervisor.control(),
        );
        let preview = registrar.preview().await;
        let Some((registration, heartbeat)) = preview.map_err(|why| why.to_string())? else {
            return Ok(());
        };
        told.push(Told {
            what: "registration",
            to: format!(
                "POST {}/agent/register",
                sigma.api.url.trim_end_matches('/')
            ),
            when: "at the start, and when name, addresses, alias or SSH port change".to_owned(),
            body: value(&registration.to_json()),
        });
        told.push(Told {
            what: "heartbeat",
            to: format!(
                "POST {}/agent/heartbeat",
                sigma.api.url.trim_end_matches('/')
            ),
            when: format!("every {}", span(sigma.interval)),
            body: value(&heartbeat.to_json()),
        });
        Ok(())
    }

    /// Who would be asked for the public address: they get to know that this host asks.
    #[cfg(feature = "sigma")]
    async fn look_up(
        &self,
        told: &mut Vec<Told>,
    ) -> watch::Sender<crate::loops::public_ip::Outside> {
        use crate::loops::public_ip::{Outside, wanted};

        let (local, _) =
            crate::place::reportable_addresses(&self.place, &self.config.ignore_interfaces).await;
        let public = &self.config.public;
        let wanted = wanted(public, &local);
        if wanted {
            told.push(Told {
                what: "question for the public address",
                to: format!("GET {}", public.services.join(", else GET ")),
                when: "at the start and every hour, since no address of this host is public or --public-ip-lookup says so; the answer is reported too".to_owned(),
                body: None,
            });
        }
        watch::Sender::new(Outside {
            wanted: Some(wanted),
            asked: true,
            addresses: Vec::new(),
        })
    }

    /// The report of the guest's address, and the figures that its manager reads.
    #[cfg(feature = "guest")]
    async fn guest(&self, told: &mut Vec<Told>) -> Result<(), String> {
        use crate::loops::{guest, guest_report};

        if let Some(report) = &self.config.guest.report {
            let (addresses, _) =
                crate::place::reportable_addresses(&self.place, &self.config.ignore_interfaces)
                    .await;
            let address = guest_report::choose(report, &addresses);
            told.push(Told {
                what: "address of this guest",
                to: format!(
                    "POST http://{}{}",
                    report.manager.authority,
                    guest_report::path(report)
                ),
                when: "every 30 seconds".to_owned(),
                body: address.map(guest_report::body),
            });
        }
        if self.config.guest.api && self.config.http.is_some() {
            let (mut sampler, reading) = guest::Sampler::new(&self.config.host);
            // A failure is in the reading too.
            let _ = sampler.run().await;
            let sample = reading.borrow().clone().transpose()?;
            told.push(Told {
                what: "figures of this guest",
                to: self.askers("/metrics"),
                when: "when asked".to_owned(),
                body: sample.map(|sample| http::guest_page(&sample)),
            });
        }
        Ok(())
    }

    #[cfg(feature = "luna")]
    fn push(&self, told: &mut Vec<Told>) {
        let Some(push) = &self.config.push else {
            return;
        };
        let mut sample = crate::loops::sample::take(&self.place);
        let facts = crate::loops::push::read_system_info(&self.place);
        if let Some(name) = &self.config.hostname {
            sample.hostname = Some(name.clone());
        }
        let facts = metricpush::SystemInfo {
            hostname: self.config.hostname.clone().or(facts.hostname),
            ..facts
        };
        told.push(Told {
            what: "sample",
            to: format!(
                "POST {}/agent/metrics",
                push.server_url.as_str().trim_end_matches('/')
            ),
            when: format!(
                "every {}; system_info at the start and every {}",
                span(push.interval),
                span(push.system_info_period)
            ),
            body: value(&sample.to_json(Some(&facts))),
        });
    }

    /// What whoever reaches the agent's port can read.
    fn pages(&self, told: &mut Vec<Told>) -> Result<(), String> {
        if self.config.http.is_none() {
            return Ok(());
        }
        told.push(Told {
            what: "metrics",
            to: self.askers("/metrics"),
            when: "when Prometheus asks; --metrics shows the page".to_owned(),
            body: None,
        });
        #[cfg(feature = "sigma")]
        if let Some(ports) = self.scanned()?
            && let Some(picture) = ports.latest()
        {
            told.push(Told {
                what: "ports",
                to: self.askers("/ports"),
                when: "when asked".to_owned(),
                body: Some(http::ports_page(&picture)),
            });
        }
        Ok(())
    }

    fn askers(&self, page: &str) -> String {
        let places = self.config.http.iter().flat_map(|http| {
            let place = |port: &u16| std::net::SocketAddr::new(http.address, *port).to_string();
            http.ports.iter().map(place)
        });
        let places: Vec<String> = places.collect();
        format!(
            "whoever asks {} for GET {page}, with the token where one is set",
            places.join(" or ")
        )
    }

    /// The ports after one scan, if they are scanned.
    #[cfg(feature = "sigma")]
    fn scanned(&self) -> Result<Option<Arc<Ports>>, String> {
        let Some(scan) = &self.config.scan else {
            return Ok(None);
        };
        let (proc, cgroup) = (self.place.proc().to_owned(), self.place.cgroup());
        let ports = Ports::new(scan, proc, cgroup, Holders::One);
        ports
            .look()
            .map_err(|error| format!("cannot scan ports: {error}"))?;
        Ok(Some(Arc::new(ports)))
    }

    fn metrics(&self) -> Result<String, String> {
        let routes = Routes {
            shared: Arc::clone(&self.shared),
            board: self.supervisor.board(),
            settings: self.settings.subscribe(),
            place: self.place.clone(),
            #[cfg(feature = "page")]
            live: http::Live::new(
                Arc::new(crate::history::History::new(self.supervisor.control())),
                watch::Sender::new(false).subscribe(),
            ),
            #[cfg(feature = "sigma")]
            ports: self.scanned()?,
            #[cfg(feature = "guest")]
            guest: None,
            #[cfg(feature = "luna")]
            outbox: None,
            #[cfg(feature = "aegis")]
            desk: None,
            token: None,
            #[cfg(feature = "sigma")]
            node_compat: self
                .config
                .http
                .as_ref()
                .is_some_and(|http| http.node_compat),
            #[cfg(feature = "sigma")]
            pace: Arc::default(),
            scrapes: Arc::default(),
        };
        let page = http::page_of_host(&routes);
        String::from_utf8(page).map_err(|_| "the page is not text".to_owned())
    }
}
