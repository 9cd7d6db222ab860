// The reader's local time, on hover over a time in UTC.
const LOCAL = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "long" });

/** Adds the local time to the title of each time in a part of the page. */
export function showLocalTimes(root) {
  for (const time of root.querySelectorAll("time[datetime]")) {
    const instant = new Date(time.dateTime);
    if (!Number.isNaN(instant.valueOf())) time.title = `${time.title}\n${LOCAL.format(instant)} here`;
  }
}
