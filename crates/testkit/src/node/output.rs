//! [`Output`]: what a process prints, as it comes.

use tokio::io::{AsyncBufReadExt, AsyncRead, BufReader};
use tokio::sync::watch;

use crate::guarded;

/// The lines of one stream, collected by a task that ends with the stream.
pub struct Output {
    lines: watch::Receiver<Vec<String>>,
}

impl Output {
    /// Collects from now on. Must be called in a runtime.
    pub fn collect(stream: impl AsyncRead + Unpin + Send + 'static) -> Self {
        let (sender, lines) = watch::channel(Vec::new());
        tokio::spawn(async move {
            let mut reader = BufReader::new(stream);
            let mut line = Vec::new();
            while reader.read_until(b'\n', &mut line).await.is_ok_and(|n| n > 0) {
                let text = String::from_utf8_lossy(&line).trim_end().to_owned();
                sender.send_modify(|lines| lines.push(text));
                line.clear();
            }
        });
        Self { lines }
    }

    /// Everything so far.
    pub fn text(&self) -> String {
        self.lines.borrow().join("\n")
    }

    /// The first line that contains all of `words`. Never returns when the stream ends without one.
    pub async fn line_with(&self, words: &[&str]) -> String {
        let has_all = |line: &&String| words.iter().all(|word| line.contains(word));
        let mut lines = self.lines.clone();
        let what = format!("a line with {words:?}; so far:\n{}", self.text());
        let found = guarded(&what, async {
            let lines = lines.wait_for(|lines| lines.iter().any(|line| has_all(&line))).await;
            lines.ok().and_then(|lines| lines.iter().find(has_all).cloned())
        });
        match found.await {
            Some(line) => line,
            None => std::future::pending().await,
        }
    }

    /// Everything until the stream ends.
    pub async fn rest(&self) -> String {
        let mut lines = self.lines.clone();
        guarded("the end of the output", async { while lines.changed().await.is_ok() {} }).await;
        self.text()
    }
}
