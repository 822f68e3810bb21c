//! `standpipe wrap URL`: the URL under which the server offers a URL. Asks nobody.

use clap::ArgMatches;
use url::Url;

use super::client::{Server, escaped};

/// The cached URL, in the path form where that keeps the URL as it is, else in the query form.
pub(super) fn wrap(server: &Server, url: &Url) -> String {
    let plain = url.username().is_empty() && url.password().is_none();
    if plain {
        format!("{}/{url}", server.base())
    } else {
        // Clients take `user@` in a path for their own credentials or escape it: the query form is safe.
        format!("{}/api/v1/fetch?url={}", server.base(), escaped(url.as_str()))
    }
}

/// The argument that [`checked`] has accepted.
pub(super) fn url(arguments: &ArgMatches) -> Result<&Url, String> {
    arguments.get_one::<Url>("url").ok_or_else(|| "no URL is given".to_owned())
}

/// The URL, if the server can fetch such a one.
pub(super) fn checked(text: &str) -> Result<Url, String> {
    let mut url = Url::parse(text).map_err(|error| format!("it is no URL: {error}"))?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("only http and https URLs can be fetched".to_owned());
    }
    url.set_fragment(None);
    Ok(url)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrapped_url_is_the_servers_url_and_the_whole_url_behind_it() {
        let server = Server::new(Some("http://cache:8001")).expect("valid");
        let wrapped = |text| checked(text).map(|url| wrap(&server, &url));
        assert_eq!(
            wrapped("https://example.com/a%20b?c=d&e#f").as_deref(),
            Ok("http://cache:8001/https://example.com/a%20b?c=d&e")
        );
        assert_eq!(
            wrapped("https://u:p@example.com/").as_deref(),
            Ok("http://cache:8001/api/v1/fetch?url=https%3A%2F%2Fu%3Ap%40example.com%2F")
        );
        assert!(wrapped("ftp://example.com/").is_err());
        assert!(wrapped("example.com").is_err());
    }
}
