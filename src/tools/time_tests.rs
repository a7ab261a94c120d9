use super::*;
use proptest::prelude::*;

fn zone(name: &str) -> Zone {
    Zone::find(name).unwrap()
}

fn moment(text: &str, at: &str) -> Option<String> {
    Given::read(text).unwrap().moment(&zone(at)).map(|moment| moment.to_string())
}

#[test]
fn iso_8601_is_read_with_and_without_an_offset() {
    let spelled = |text: &str| Given::read(text).map(Given::spelled);
    for (given, once) in [
        ("2026-11-20", "2026-11-20"),
        (" 2026-11-20T10:00 ", "2026-11-20T10:00:00"),
        ("2026-11-20 10:00:30", "2026-11-20T10:00:30"),
        ("2026-11-20T10:00:00Z", "2026-11-20T10:00:00Z"),
        ("2026-11-20T10:00:00+00:00", "2026-11-20T10:00:00Z"),
        ("2026-11-20t10:00:00.250-0330", "2026-11-20T10:00:00.25-03:30"),
        ("20261120T100000+01", "2026-11-20T10:00:00+01:00"),
    ] {
        assert_eq!(spelled(given).as_deref(), Some(once), "{given}");
        assert_eq!(spelled(once).as_deref(), Some(once), "{once} is read as something else");
    }
    for wrong in ["", "tomorrow", "10:00", "2026-13-01", "2026-11-20T25:00", "2026-11-20T10:00[Europe/Berlin]", "0999-01-01", "9999-12-31"]
    {
        assert_eq!(spelled(wrong), None, "{wrong}");
    }
}

#[test]
fn a_time_without_an_offset_is_by_the_clocks_of_its_zone() {
    assert_eq!(moment("2026-11-20T10:00", "Europe/Berlin").unwrap(), "2026-11-20T09:00:00Z");
    assert_eq!(moment("2026-07-20T10:00", "Europe/Berlin").unwrap(), "2026-07-20T08:00:00Z");
    assert_eq!(moment("2026-07-20T10:00+09:00", "Europe/Berlin").unwrap(), "2026-07-20T01:00:00Z");
    assert_eq!(moment("2026-07-20", "America/New_York").unwrap(), "2026-07-20T04:00:00Z");
    // The clocks skip it; and midnight, where a day begins an hour late.
    assert_eq!(moment("2026-03-29T02:30", "Europe/Berlin"), None);
    assert_eq!(moment("2026-04-24", "Africa/Cairo").unwrap(), "2026-04-23T22:00:00Z");
    // Shown twice: the first.
    assert_eq!(moment("2026-10-25T02:30", "Europe/Berlin").unwrap(), "2026-10-25T00:30:00Z");
}

#[test]
fn a_moment_the_clocks_show_twice_is_kept_in_utc() {
    let berlin = zone("Europe/Berlin");
    let second: Timestamp = "2026-10-25T01:30:00Z".parse().unwrap();
    assert_eq!(local(second, &berlin), "2026-10-25T02:30:00+01:00");
    assert_eq!(in_zone(second, &berlin), json!({"dateTime": "2026-10-25T01:30:00", "timeZone": "UTC"}));
    let plain: Timestamp = "2026-10-25T03:30:00Z".parse().unwrap();
    assert_eq!(in_zone(plain, &berlin), json!({"dateTime": "2026-10-25T04:30:00", "timeZone": "W. Europe Standard Time"}));
}

#[test]
fn a_day_is_a_day_whatever_offset_its_midnight_has() {
    let day = |text: &str| Given::read(text).unwrap().day().map(|day| day.to_string());
    assert_eq!(day("2026-11-20").as_deref(), Some("2026-11-20"));
    assert_eq!(day("2026-11-20T00:00").as_deref(), Some("2026-11-20"));
    assert_eq!(day("2026-11-20T00:00:00-08:00").as_deref(), Some("2026-11-20"));
    assert_eq!(day("2026-11-20T00:01"), None);
}

#[test]
fn what_graph_writes_is_read_in_either_kind_of_zone() {
    let read = |at: &str, zone: &str| moment_of(&json!({"dateTime": at, "timeZone": zone})).map(|moment| moment.to_string());
    assert_eq!(read("2026-11-20T10:00:00.0000000", "UTC").unwrap(), "2026-11-20T10:00:00Z");
    assert_eq!(read("2026-11-20T10:00:00.0000000", "Pacific Standard Time").unwrap(), "2026-11-20T18:00:00Z");
    assert_eq!(read("2026-11-20T10:00:00.0000000", "Europe/Berlin").unwrap(), "2026-11-20T09:00:00Z");
    assert_eq!(read("2026-11-20T10:00:00.0000000", "Customized Time Zone"), None);
    assert_eq!(read("whenever", "UTC"), None);
}

proptest! {
    /// Whatever the zone, what is sent to Exchange means the moment that was meant.
    #[test]
    fn no_moment_is_lost_on_the_way(
        seconds in 0i64..4_102_444_800,
        name in prop::sample::select(vec!["Europe/Berlin", "America/Sao_Paulo", "Asia/Kathmandu", "Australia/Lord_Howe", "Africa/Casablanca", "UTC"]),
    ) {
        let (moment, zone) = (Timestamp::from_second(seconds).unwrap(), zone(name));
        prop_assert_eq!(moment_of(&in_zone(moment, &zone)), Some(moment));
        prop_assert_eq!(Given::read(&local(moment, &zone)).unwrap().moment(&Zone::utc()), Some(moment));
    }

    #[test]
    fn reading_never_panics_and_its_spelling_reads_the_same(text in "[0-9]{4}-[0-9]{2}-[0-9]{2}([T ][0-9]{2}:[0-9]{2}(:[0-9]{2})?(Z|[+-][0-9]{2}:[0-9]{2})?)?|\\PC{0,30}") {
        if let Some(given) = Given::read(&text) {
            prop_assert_eq!(Given::read(&given.spelled()), Some(given));
            given.moment(&zone("Europe/Berlin"));
        }
    }
}
