//! The program between a test and its browser.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, TcpStream};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::time::Duration;

use anyhow::{Context, Result};

use crate::browser::on_path;

/// How long chromedriver may take to end its browsers before it is ended itself.
const SHUTDOWN_TIMEOUT: Duration = Duration::from_secs(10);

/// A chromedriver on a port of its own. Dropping it ends it, and the browsers it has started.
pub(crate) struct ChromeDriver {
    process: Child,
    port: u16,
    /// Kept, since a chromedriver that can no longer write there ends.
    _output: BufReader<ChildStdout>,
}

impl ChromeDriver {
    pub(crate) fn start() -> Result<Self> {
        let mut process = Command::new(on_path("chromedriver", "chromium-driver")?)
            .arg("--port=0")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start chromedriver")?;
        let output = process.stdout.take().context("chromedriver has an output")?;
        let mut driver = Self { process, port: 0, _output: BufReader::new(output) };
        driver.port = announced_port(&mut driver._output)?;
        Ok(driver)
    }

    pub(crate) fn url(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// Asks chromedriver to end its browsers, and waits until it says so.
    fn end_browsers(&self) -> Result<()> {
        let mut connection = TcpStream::connect((Ipv4Addr::LOCALHOST, self.port))?;
        connection.set_read_timeout(Some(SHUTDOWN_TIMEOUT))?;
        connection.write_all(b"GET /shutdown HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")?;
        connection.read_to_end(&mut Vec::new())?;
        Ok(())
    }
}

impl Drop for ChromeDriver {
    fn drop(&mut self) {
        // Nothing here can be mended: the browsers lie in a temporary profile, and chromedriver itself is killed.
        let _ended = self.end_browsers();
        let _killed = self.process.kill();
        let _reaped = self.process.wait();
    }
}

fn announced_port(output: &mut impl BufRead) -> Result<u16> {
    const ANNOUNCEMENT: &str = "started successfully on port ";
    for line in output.lines() {
        let line = line?;
        if let Some((_, port)) = line.split_once(ANNOUNCEMENT) {
            return port.trim_end_matches('.').trim().parse().with_context(|| format!("a port in {line:?}"));
        }
    }
    anyhow::bail!("chromedriver ended without naming its port")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_port_is_read_from_the_announcement() {
        let mut output: &[u8] = b"Starting ChromeDriver\nChromeDriver was started successfully on port 40123.\n";
        assert_eq!(announced_port(&mut output).unwrap(), 40123);
    }
}
