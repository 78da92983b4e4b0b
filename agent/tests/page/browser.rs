//! A headless Chromium and the WebDriver protocol: JSON over HTTP, nothing more.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};

use crate::parts::{PATIENCE, folder, wait_for};

/// A browser with one page; it ends with the test.
pub(crate) struct Browser {
    driver: Child,
    port: u16,
    session: String,
    profile: PathBuf,
}

impl Browser {
    /// `None`, loudly, where there is no Chromium.
    pub(crate) fn start() -> Option<Self> {
        let mut command = Command::new("chromedriver");
        command.arg("--port=0").stdin(Stdio::null());
        command.stdout(Stdio::piped()).stderr(Stdio::null());
        let Ok(mut driver) = command.spawn() else {
            println!("skipped: needs chromium and chromedriver (Debian: chromium chromium-driver)");
            return None;
        };
        let port = port_of(&mut driver);
        let profile = folder("chromium");
        let mut browser = Self {
            driver,
            port,
            session: String::new(),
            profile,
        };
        let answer = browser.call("POST", "/session", &browser.wishes());
        browser.session = answer["sessionId"].as_str().unwrap().to_owned();
        Some(browser)
    }

    fn wishes(&self) -> Value {
        let profile = format!("--user-data-dir={}", self.profile.display());
        // Nothing of it leaves this machine, and as root there is no sandbox to be had.
        let flags = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--disable-dev-shm-usage",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--hide-scrollbars",
            "--window-size=1280,800",
            profile.as_str(),
        ];
        json!({ "capabilities": { "alwaysMatch": {
            "goog:chromeOptions": { "args": flags },
            "goog:loggingPrefs": { "browser": "ALL" },
            "timeouts": { "script": 20_000, "pageLoad": 60_000 },
        } } })
    }

    pub(crate) fn open(&self, port: u16) {
        let url = format!("http://127.0.0.1:{port}/");
        self.ask("POST", "/url", &json!({ "url": url }));
    }

    /// The handle of the tab that is seen.
    pub(crate) fn window(&self) -> Value {
        self.ask("GET", "/window", &json!({}))
    }

    /// A tab in front of the one that was seen.
    pub(crate) fn another_tab(&self) {
        let tab = self.ask("POST", "/window/new", &json!({ "type": "tab" }));
        self.switch(&tab["handle"]);
    }

    pub(crate) fn switch(&self, window: &Value) {
        self.ask("POST", "/window", &json!({ "handle": window }));
    }

    /// What a piece of script in the page returns.
    pub(crate) fn get(&self, script: &str) -> Value {
        self.ask(
            "POST",
            "/execute/sync",
            &json!({ "script": script, "args": [] }),
        )
    }

    /// What an expression over one of the page's own modules, called `it`, is worth.
    pub(crate) fn module(&self, name: &str, expression: &str) -> Value {
        let script = format!(
            "const done = arguments[0]; import('/page/{name}.js').then((it) => done({expression})).catch((error) => done(`${{error}}`))"
        );
        self.ask(
            "POST",
            "/execute/async",
            &json!({ "script": script, "args": [] }),
        )
    }

    /// The text of an element as a person sees it; empty if there is none, or it is hidden.
    pub(crate) fn text(&self, selector: &str) -> String {
        let script = format!(
            "const found = document.querySelector({}); return found && found.checkVisibility() ? found.innerText : ''",
            json!(selector)
        );
        self.get(&script).as_str().unwrap_or_default().to_owned()
    }

    /// Waits until the text of an element holds `part`.
    pub(crate) fn shows(&self, selector: &str, part: &str) -> String {
        let mut last = String::new();
        let start = std::time::Instant::now();
        while start.elapsed() < PATIENCE {
            last = self.text(selector);
            if last.contains(part) {
                return last;
            }
            std::thread::sleep(std::time::Duration::from_millis(50));
        }
        panic!(
            "{selector} never showed {part:?}, but {last:?}; the log: {:?}",
            self.log()
        );
    }

    pub(crate) fn live(&self) {
        self.shows("#link", "live");
    }

    /// Presses keys; the special ones have code points of their own in WebDriver.
    pub(crate) fn press(&self, keys: &str) {
        let steps: Vec<Value> = keys
            .chars()
            .flat_map(|key| {
                ["keyDown", "keyUp"].map(|kind| json!({ "type": kind, "value": key.to_string() }))
            })
            .collect();
        self.ask(
            "POST",
            "/actions",
            &json!({ "actions": [{ "type": "key", "id": "keyboard", "actions": steps }] }),
        );
    }

    /// Puts the pointer on a point of the window, without a click.
    pub(crate) fn point(&self, x: f64, y: f64) {
        let step =
            json!({ "type": "pointerMove", "duration": 0, "x": x, "y": y, "origin": "viewport" });
        self.ask(
            "POST",
            "/actions",
            &json!({ "actions": [{ "type": "pointer", "id": "mouse", "parameters": { "pointerType": "mouse" }, "actions": [step] }] }),
        );
    }

    /// A window of this size; small ones are those of phones.
    pub(crate) fn resize(&self, width: u32, height: u32, scale: f64) {
        let size = json!({ "width": width, "height": height, "deviceScaleFactor": scale, "mobile": width < 600 });
        self.devtools("Emulation.setDeviceMetricsOverride", &size);
    }

    pub(crate) fn colours(&self, scheme: &str) {
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.devtools("Emulation.setEmulatedMedia", &features);
    }

    pub(crate) fn devtools(&self, command: &str, parameters: &Value) -> Value {
        self.ask(
            "POST",
            "/goog/cdp/execute",
            &json!({ "cmd": command, "params": parameters }),
        )
    }

    /// What the browser complained about since the last time: errors, warnings and violations of the page's policy. That tests look at
    /// pixels is no fault of the page.
    pub(crate) fn log(&self) -> Vec<String> {
        let entries = self.ask("POST", "/se/log", &json!({ "type": "browser" }));
        entries
            .as_array()
            .unwrap()
            .iter()
            .filter(|entry| !entry["message"].as_str().unwrap().contains("getImageData"))
            .map(|entry| {
                format!(
                    "{}: {}",
                    entry["level"].as_str().unwrap(),
                    entry["message"].as_str().unwrap()
                )
            })
            .collect()
    }

    fn ask(&self, method: &str, path: &str, body: &Value) -> Value {
        self.call(method, &format!("/session/{}{path}", self.session), body)
    }

    fn call(&self, method: &str, path: &str, body: &Value) -> Value {
        let (status, answer) = exchange(self.port, method, path, &body.to_string());
        let mut answer: Value = serde_json::from_str(&answer).unwrap();
        assert_eq!(status, 200, "{method} {path} {body:.300}: {answer}");
        answer["value"].take()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        if !self.session.is_empty() {
            let _ = exchange(
                self.port,
                "DELETE",
                &format!("/session/{}", self.session),
                "",
            );
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
        let _ = std::fs::remove_dir_all(&self.profile);
    }
}

/// The port that the driver says it has.
fn port_of(driver: &mut Child) -> u16 {
    let lines = BufReader::new(driver.stdout.take().unwrap()).lines();
    let said = |line: String| {
        let (_, port) = line.split_once("successfully on port ")?;
        port.trim_end_matches('.').parse().ok()
    };
    lines
        .map_while(Result::ok)
        .find_map(said)
        .expect("chromedriver says its port")
}

/// One request and its answer; the length tells where that ends.
fn exchange(port: u16, method: &str, path: &str, body: &str) -> (u16, String) {
    let mut stream = wait_for("chromedriver", || {
        TcpStream::connect((Ipv4Addr::LOCALHOST, port)).ok()
    });
    stream.set_read_timeout(Some(2 * PATIENCE)).unwrap();
    let length = body.len();
    let request = format!(
        "{method} {path} HTTP/1.1\r\nhost: localhost:{port}\r\ncontent-type: application/json\r\ncontent-length: {length}\r\n\r\n{body}"
    );
    stream.write_all(request.as_bytes()).unwrap();
    let mut reader = BufReader::new(stream);
    let (mut status, mut length) = (0, 0);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) <= 2 {
            break;
        }
        let lower = line.to_ascii_lowercase();
        if let Some(value) = lower.strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        } else if lower.starts_with("http/") {
            status = lower.split(' ').nth(1).unwrap().parse().unwrap();
        }
    }
    let mut bytes = vec![0; length];
    reader.read_exact(&mut bytes).unwrap();
    (status, String::from_utf8(bytes).unwrap())
}
