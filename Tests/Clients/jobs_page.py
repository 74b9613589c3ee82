"""Opens the page of the job queue in headless Chromium and works with jobs and queues as an operator would.

Usage: jobs_page.py BASE_URL FOLDER, for example jobs_page.py http://user:password@127.0.0.1:8080/admin/jobs screenshots

The server must have at least one discarded job. The test deletes one, and pauses its queue meanwhile.
"""
import json
import sys

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.ui import WebDriverWait

base, folder = sys.argv[1:]
options = webdriver.ChromeOptions()
for argument in ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1280,900"]:
    options.add_argument(argument)
options.binary_location = "/usr/bin/chromium"
options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
browser = webdriver.Chrome(options, Service("/usr/bin/chromedriver"))
# The page replaces texts while the test reads them, so a read is tried again.
wait = WebDriverWait(browser, 20, poll_frequency=.1)


def until(condition, message):
    return wait.until(lambda _: condition(), message)


def find_all(selector):
    return [node for node in browser.find_elements(By.CSS_SELECTOR, selector) if node.is_displayed()]


def find(selector):
    return until(lambda: find_all(selector), f"{selector} is not displayed.")[0]


def texts(selector):
    """Returns the texts of all elements at one moment."""
    return browser.execute_script(
        "return Array.from(document.querySelectorAll(arguments[0]), (node) => node.textContent)", selector)


def job_row(identifier):
    return f"#jobs tr[data-id='{identifier}']"


def click(selector):
    node = find(selector)
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", node)
    node.click()


def count(state):
    return texts(f"#states [data-state={state}] .number")[0]


def open_state(state):
    click(f"#states [data-state={state}]")
    until(lambda: find_all(f"#list[data-state={state}]:not([aria-busy])"), f"The list does not show {state} jobs.")


def queue_button(queue):
    return browser.execute_script("""
        const rows = Array.from(document.querySelectorAll("#queues tbody tr"));
        return rows.find((row) => row.dataset.queue === arguments[0]).querySelector("button");
        """, queue)


def toggle_queue(queue, expected):
    """Clicks Pause or Resume, and waits until the button says what is expected."""
    queue_button(queue).click()
    until(lambda: queue_button(queue).text == expected, f"The button of the queue does not become {expected}.")


def fetch(method, path):
    """Sends a request from within the page, and returns the status and the text of the answer."""
    return browser.execute_async_script("""
        const [method, path, done] = arguments;
        const url = new URL(path, document.baseURI);
        url.username = url.password = "";
        fetch(url, { method }).then(async (response) => done([response.status, await response.text()]),
          (error) => done([0, String(error)]));
        """, method, path)


def resize(width, height, is_mobile):
    # A window of headless Chromium cannot be as narrow as a phone.
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride",
                            {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": is_mobile})


def set_color_scheme(scheme):
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia",
                            {"features": [{"name": "prefers-color-scheme", "value": scheme}]})


def take_screenshots(name):
    for scheme in ["dark", "light"]:
        set_color_scheme(scheme)
        browser.save_screenshot(f"{folder}/jobs-{name}-{scheme}.png")


def check_width():
    width, visible = browser.execute_script("return [document.documentElement.scrollWidth, innerWidth]")
    assert width <= visible == 390, f"The page is {width} pixels wide, the phone {visible}."


try:
    resize(1280, 900, False)
    browser.get(base)
    browser.execute_script("window.isSamePage = true")
    until(lambda: texts("#connection") == ["Live"], "The page does not become live.")
    until(lambda: texts("#queues tbody .name"), "There are no queues.")
    assert browser.title == "Jobs", browser.title
    assert texts("#updated")[0].startswith("Updated "), texts("#updated")
    labels = ["Waiting", "Available", "Running", "Completed", "Cancelled", "Dead letters"]
    assert texts("#states .label") == labels, texts("#states .label")
    assert all(number.strip() for number in texts("#states .number")), texts("#states .number")
    assert len(texts("#queues .available")) == len(texts("#queues tbody .name")), "A queue has no count."

    # Dead letters, filtered by a kind, also after a reload and after Back.
    open_state("discarded")
    kind = until(lambda: texts("#jobs tbody .name"), "There are no dead letters.")[0]
    find("#kind").send_keys(kind, Keys.ENTER)
    until(lambda: "kind=" in browser.current_url, "The filter is not in the address.")
    until(lambda: set(texts("#jobs tbody .name")) == {kind}, "The filter has no effect.")
    take_screenshots("dead-letters")
    browser.refresh()
    browser.execute_script("window.isSamePage = true")
    until(lambda: set(texts("#jobs tbody .name")) == {kind}, "The filter is lost after a reload.")
    assert find("#kind").get_attribute("value") == kind
    find("#tag").send_keys("no job has this tag", Keys.ENTER)
    until(lambda: texts("#list-empty p") == ["No dead letters match the filters."], "The list does not become empty.")
    browser.back()
    until(lambda: set(texts("#jobs tbody .name")) == {kind}, "Back does not show the jobs again.")

    # A job: its arguments and errors. Its data are text, not HTML.
    identifier, queue = browser.execute_script("""
        const row = document.querySelector("#jobs tbody tr");
        return [row.dataset.id, row.querySelector(".queue-name").textContent];
        """)
    click(f"{job_row(identifier)} .attempt")
    until(lambda: find("#job-state").text == "Dead letter", "The job does not open.")
    assert f"job={identifier}" in browser.current_url, browser.current_url
    assert texts("#job-id") == [identifier] and texts("#job-kind") == [kind]
    assert find("#job-arguments pre").text, "The arguments are missing."
    assert find("#job-errors pre").get_attribute("textContent"), "The errors are missing."
    assert not find_all("#panel pre :not(span), #jobs img, #panel img"), "Data became HTML."
    take_screenshots("job")
    find("#panel").send_keys(Keys.ESCAPE)
    until(lambda: not find_all("#panel"), "Escape does not close the job.")

    # Pause the queue, so that the job stays available after it is retried.
    if queue_button(queue).text == "Resume":
        toggle_queue(queue, "Pause")
    toggle_queue(queue, "Resume")
    until(lambda: find_all("#queues .paused .badge"), "No queue is shown as paused.")
    take_screenshots("paused")

    click(f"{job_row(identifier)} .name")
    click("#job-actions [data-action=retry]")
    until(lambda: find("#job-state").text == "Available", "The job does not become available.")
    until(lambda: not find_all(job_row(identifier)), "The job is still a dead letter.")
    cancelled = json.loads(fetch("GET", "api/overview")[1])["states"]["cancelled"]
    click("#job-actions [data-action=cancel]")
    until(lambda: find("#job-state").text == "Cancelled", "The job is not cancelled.")
    click("#close")

    # A request that the page does not know of changes a count and the list.
    open_state("cancelled")
    if find("#kind").get_attribute("value"):
        click("#kind + button")
    find(job_row(identifier))
    until(lambda: count("cancelled") == f"{cancelled + 1:,}", "The count is wrong.")
    status, body = fetch("DELETE", f"api/jobs/{identifier}")
    assert status == 204, (status, body)
    until(lambda: count("cancelled") == f"{cancelled:,}", "The count does not change.")
    until(lambda: not find_all(job_row(identifier)), "The list does not change.")
    assert browser.execute_script("return window.isSamePage"), "The page was loaded again."

    toggle_queue(queue, "Pause")
    assert not texts("#notices .failed"), texts("#notices .failed")

    open_state("completed")
    take_screenshots("completed")
    resize(390, 844, True)
    check_width()
    take_screenshots("phone")
    for state in ["waiting", "available", "running", "discarded", "completed"]:
        open_state(state)
        check_width()
    if find_all("#jobs tbody tr"):
        browser.execute_script("document.getElementById('list').scrollIntoView()")
        take_screenshots("phone-list")
        click("#jobs tbody tr .attempt")
        find("#job-state")
        check_width()
        take_screenshots("phone-job")

    messages = [entry["message"] for entry in browser.get_log("browser")]
    assert not messages, messages
    print("The page shows the queues and jobs, changes them, and follows their changes.")
finally:
    browser.quit()
