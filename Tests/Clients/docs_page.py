"""Opens the API documentation page in headless Chromium and tries operations as a reader would."""
import json
import sys
import uuid

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import WebDriverWait

base, folder = sys.argv[1:]
options = webdriver.ChromeOptions()
for argument in ["--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--window-size=1280,1000"]:
    options.add_argument(argument)
options.binary_location = "/usr/bin/chromium"
options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
browser = webdriver.Chrome(options, Service("/usr/bin/chromedriver"))
wait = WebDriverWait(browser, 20)


def find_details(operation):
    return wait.until(lambda browser: browser.find_element(By.ID, operation))


def click(element):
    browser.execute_script("arguments[0].scrollIntoView({block: 'center'})", element)
    element.click()


def expand(operation):
    details = find_details(operation)
    if details.get_attribute("open") is None:
        click(details.find_element(By.TAG_NAME, "summary"))
    wait.until(lambda _: details.find_elements(By.TAG_NAME, "button"))
    return details


def attempt(operation, body=None, **parameters):
    """Fills in the form of an operation, clicks the button, and returns the status and the displayed body."""
    details = expand(operation)
    for name, value in parameters.items():
        details.find_element(By.CSS_SELECTOR, f"[data-name='{name}']").send_keys(value)
    if body is not None:
        area = details.find_element(By.TAG_NAME, "textarea")
        area.clear()
        area.send_keys(json.dumps(body))
    old = details.find_elements(By.CSS_SELECTOR, ".output .status")
    click(details.find_element(By.TAG_NAME, "button"))
    wait.until(lambda _: [line for line in details.find_elements(By.CSS_SELECTOR, ".output .status") if line not in old])
    status = int(details.find_element(By.CSS_SELECTOR, ".output .status").text.split()[0])
    return status, details.find_element(By.CSS_SELECTOR, ".output pre").text


try:
    browser.get(f"{base}/docs")
    wait.until(lambda browser: len(browser.find_elements(By.TAG_NAME, "details")) > 10)
    assert browser.title == "delivery-tracker", browser.title
    browser.save_screenshot(f"{folder}/docs.png")

    status, body = attempt("getHealthLive")
    assert (status, json.loads(body)) == (200, {"status": "ok"}), (status, body)

    # The body that the page proposes is valid.
    example = json.loads(expand("postV1Orders").find_element(By.TAG_NAME, "textarea").get_attribute("value"))
    assert set(example) == {"item", "pickup", "dropoff"}, example
    status, body = attempt("postV1Orders")
    assert status == 401, (status, body)

    account = {"email": f"{uuid.uuid4()}@example.org", "password": "correct horse battery"}
    status, body = attempt("postV1Accounts", {**account, "name": "<b>Ada</b>", "role": "customer"})
    assert status == 201 and "<b>Ada</b>" in body, (status, body)
    assert not expand("postV1Accounts").find_elements(By.TAG_NAME, "b"), "The response was rendered as HTML."
    status, body = attempt("postV1Sessions", account)
    assert status == 200, (status, body)
    browser.find_element(By.ID, "token").send_keys(json.loads(body)["token"])

    status, body = attempt("postV1Orders")
    assert status == 201, (status, body)
    order = json.loads(body)["order"]["id"]
    status, body = attempt("getV1OrdersById", id=order)
    assert (status, json.loads(body)["id"]) == (200, order), (status, body)
    status, body = attempt("getV1Orders", limit="1")
    assert (status, len(json.loads(body)["items"])) == (200, 1), (status, body)
    status, body = attempt("getV1OrdersById", id="x")
    assert status == 400, (status, body)
    browser.execute_script("document.getElementById('postV1Orders').scrollIntoView()")
    browser.save_screenshot(f"{folder}/docs-tried.png")

    # The browser log may contain only the requests that failed on purpose.
    messages = [entry["message"] for entry in browser.get_log("browser")]
    unexpected = [text for text in messages if "status of 40" not in text and "favicon" not in text]
    assert not unexpected, unexpected
    print("The page shows the API, and its requests are answered.")
finally:
    browser.quit()
