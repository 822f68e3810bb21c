use super::super::raw::Raw;
use super::*;

fn tables(text: &str) -> Result<Tables, Vec<String>> {
    let mut raw = Raw::default();
    let problems = raw.add_file("s.toml".as_ref(), text);
    if problems.is_empty() { Tables::parse(&raw.tables) } else { Err(problems) }
}

#[test]
fn tables_are_read_in_their_order_with_what_belongs_to_them() {
    let tables = tables(
        "[[site]]\nname = \"a\"\norigin = \"http://a.example\"\n[[site]]\nname = \"b\"\norigin = [\"http://b\", \"http://c\"]\n\
         [[rule]]\npath = \"/x/*\"\nttl = \"1h\"\n[[rule.case]]\nstatus = \"404\"\nttl = \"1s\"\n[[rule]]\nbypass = true\n\
         [[listener]]\naddress = \":443\"\n[[listener.certificate]]\nchain = \"c\"\nkey = \"k\"\n",
    )
    .map_err(|problems| problems.join("\n"))
    .expect("right");
    assert_eq!(tables.sites.iter().map(|site| &*site.table.name.0).collect::<Vec<_>>(), ["a", "b"]);
    assert_eq!(tables.sites[1].table.origins.len(), 2);
    assert_eq!(
        tables.rules.iter().map(|rule| (rule.table.bypass, rule.below.len())).collect::<Vec<_>>(),
        [(false, 1), (true, 0)]
    );
    assert_eq!(tables.rules[0].table.ttl, Some(Duration::from_secs(3600)));
    assert_eq!(tables.listeners[0].below.len(), 1);
}

// 4c 83
#[test]
fn what_is_wrong_is_named_with_its_place() {
    let problems = |text: &str| tables(text).expect_err("refused");
    assert_eq!(
        problems("[[site]]\nname = \"a\"\norigin = \"http://a\"\nhots = \"h\"\n"),
        ["s.toml:4:1: unknown key `site.hots`; did you mean `hosts`?"]
    );
    assert_eq!(problems("[[site]]\nname = \"a\"\n"), ["s.toml:1:1: [[site]] needs `origin`"]);
    assert!(problems("[site]\nname = \"a\"\n")[0].ends_with("site: expected tables `[[site]]`"));
    assert!(problems("[[sitte]]\nname = \"a\"\n")[0].contains("did you mean `[[site]]`?"));
    assert!(problems("[[rule]]\nttl = 5\n")[0].starts_with("s.toml:2:7: rule.ttl: expected a duration"));
    assert!(
        problems("[[rule]]\n[[rule.case]]\nstatus = \"99\"\n")[0]
            .starts_with("s.toml:3:10: rule.case.status: ")
    );
    assert!(
        problems("[[rule]]\nbypass = \"x\"\n")[0]
            .starts_with("s.toml:2:10: rule.bypass: expected `true` or `false`")
    );
    assert!(problems("site = [1]\n")[0].contains("expected a table `[[site]]`"));
}

#[test]
fn every_example_is_toml_that_its_member_accepts() {
    for kind in KINDS {
        let parent = kind.name.rsplit_once('.').and_then(|(parent, _)| kind_of(parent));
        let head = parent.map_or(String::new(), |parent| format!("[[{}]]\n{}", parent.name, members(parent)));
        let text = format!("{head}[[{}]]\n{}", kind.name, members(kind));
        assert!(
            tables(&text).map_err(|problems| problems.join("\n")).is_ok(),
            "{text}: {:?}",
            tables(&text).err()
        );
    }
}

fn members(kind: &Kind) -> String {
    kind.members.iter().map(|member| format!("{} = {}\n", member.name, member.example)).collect()
}
