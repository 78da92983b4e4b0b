//! The list of records, page by page.

use serde::de::{Deserialize, Deserializer, Error as _};
use serde_json::{Map, Value};

use crate::{Call, Client, Error, Vps, VpsStatus};

/// The most records that the API puts on one page.
pub(crate) const PER_PAGE: u32 = 100;

/// Where a walk ends in any case, should a server never stop answering.
const MAX_PAGES: u32 = 1000;

/// Which records to list. The default is all but the deleted ones.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct VpsFilter {
    /// Only this status.
    pub status: Option<VpsStatus>,
    /// Only this country code.
    pub country: Option<String>,
    /// Only this provider.
    pub provider_id: Option<String>,
    /// Only this purpose.
    pub purpose: Option<String>,
    /// Only records with this tag.
    pub tag: Option<String>,
    /// Only records made by `manual`, `agent` or `cloud-sync`.
    pub source: Option<String>,
    /// Only records that expire within so many days.
    pub expiring_within_days: Option<u32>,
}

/// One page of records.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct VpsPage {
    /// The records that could be read.
    pub data: Vec<Vps>,
    /// How many on this page could not be read: without id, hostname or status.
    pub unreadable: usize,
    /// How many records there are on all pages.
    pub total: Option<u64>,
}

/// A walk over all pages, made by [`Client::vps_pages`]. It ends after a hundred thousand records at the latest.
#[derive(Debug)]
pub struct VpsPages {
    client: Client,
    filter: VpsFilter,
    page: u32,
    seen: u64,
    done: bool,
}

impl VpsFilter {
    /// The records in use.
    pub fn active() -> Self {
        VpsFilter {
            status: Some(VpsStatus::Active),
            ..VpsFilter::default()
        }
    }

    pub(crate) fn pairs(&self) -> impl Iterator<Item = (&'static str, String)> {
        let days = self.expiring_within_days.map(|days| days.to_string());
        [
            ("status", self.status.as_ref().map(VpsStatus::to_string)),
            ("country", self.country.clone()),
            ("provider_id", self.provider_id.clone()),
            ("purpose", self.purpose.clone()),
            ("tag", self.tag.clone()),
            ("expiring_within_days", days),
            ("source", self.source.clone()),
        ]
        .into_iter()
        .filter_map(|(name, value)| Some((name, value?)))
    }
}

impl VpsPages {
    pub(crate) fn new(client: Client, filter: VpsFilter) -> Self {
        VpsPages {
            client,
            filter,
            page: 1,
            seen: 0,
            done: false,
        }
    }

    /// The next page, `None` after the last one. After an error the same page can be asked for again.
    pub async fn next_page(&mut self) -> Result<Option<VpsPage>, Error> {
        if self.done || self.page > MAX_PAGES {
            return Ok(None);
        }
        let call = Call::vps_page(&self.filter, self.page, PER_PAGE);
        let page = self.client.send(&call).await?.value;
        let count = page.data.len().saturating_add(page.unreadable) as u64;
        self.page = self.page.saturating_add(1);
        self.seen = self.seen.saturating_add(count);
        self.done = match page.total {
            Some(total) => count == 0 || self.seen >= total,
            None => count < u64::from(PER_PAGE),
        };
        Ok((count > 0).then_some(page))
    }
}

impl<'de> Deserialize<'de> for VpsPage {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut fields = Map::deserialize(deserializer)?;
        let Some(Value::Array(rows)) = fields.remove("data") else {
            return Err(D::Error::custom("a page without a list `data`"));
        };
        let count = rows.len();
        let data: Vec<Vps> = rows
            .into_iter()
            .filter_map(|row| Vps::deserialize(row).ok())
            .collect();
        let unreadable = count.saturating_sub(data.len());
        Ok(VpsPage {
            data,
            unreadable,
            total: fields.get("total").and_then(Value::as_u64),
        })
    }
}
