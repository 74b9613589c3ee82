"use strict";

// Shows an OpenAPI document and sends requests to its operations. Content from the document or from a server is always
// inserted as text, never as HTML.

const methods = ["get", "post", "put", "patch", "delete", "head", "options"];
let api;

function element(name, attributes = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) {
    if (key in node && key !== "list") node[key] = value; else node.setAttribute(key, value);
  }
  node.append(...children.filter((child) => child !== undefined && child !== null));
  return node;
}

function resolve(schema) {
  const seen = new Set();
  while (schema && schema.$ref && !seen.has(schema.$ref)) {
    seen.add(schema.$ref);
    const path = schema.$ref.slice(2).split("/").map((part) => part.replaceAll("~1", "/").replaceAll("~0", "~"));
    schema = path.reduce((value, key) => (value ? value[key] : undefined), api);
  }
  return schema || {};
}

// Returns an example value for a schema.
function example(schema, depth = 0) {
  schema = resolve(schema);
  if ("example" in schema) return schema.example;
  if (schema.examples) return schema.examples[0];
  if ("default" in schema) return schema.default;
  if (schema.enum) return schema.enum[0];
  const variants = schema.anyOf || schema.oneOf;
  if (variants) return depth > 4 ? null : example(variants[0], depth + 1);
  const type = Array.isArray(schema.type) ? schema.type.find((type) => type !== "null") : schema.type;
  switch (type) {
    case "object": {
      const value = {};
      if (depth > 5) return value;
      const required = schema.required || [];
      for (const [name, property] of Object.entries(schema.properties || {})) {
        if (depth < 3 || required.includes(name)) value[name] = example(property, depth + 1);
      }
      return value;
    }
    case "array": return depth > 4 ? [] : [example(schema.items || {}, depth + 1)];
    case "integer": case "number": return Math.max(0, Math.min(schema.minimum ?? 0, 1e15));
    case "boolean": return false;
    case "string": return text(schema);
    default: return null;
  }
}

function text(schema) {
  switch (schema.format) {
    case "date-time": return new Date().toISOString();
    case "date": return new Date().toISOString().slice(0, 10);
    case "uuid": return crypto.randomUUID ? crypto.randomUUID() : "00000000-0000-4000-8000-000000000000";
    case "email": return "ada@example.org";
    case "uri": return "https://example.org/";
    default: return "text".repeat(Math.ceil((schema.minLength || 1) / 4)).slice(0, Math.max(schema.minLength || 0, 4));
  }
}

// Returns a one-line description of a schema.
function describe(schema) {
  if (schema.$ref) return schema.$ref.split("/").pop();
  const variants = schema.anyOf || schema.oneOf;
  if (variants) return variants.map(describe).join(" or ");
  if (schema.enum) return schema.enum.map((value) => JSON.stringify(value)).join(" | ");
  let name = [].concat(schema.type || "any").join(" or ");
  if ([].concat(schema.type || []).includes("array")) name += " of " + describe(schema.items || {});
  const facts = [schema.format];
  if (schema.minLength !== undefined || schema.maxLength !== undefined)
    facts.push(`${schema.minLength ?? 0}–${schema.maxLength ?? "∞"} characters`);
  if (schema.format !== "int64" && schema.format !== "int32" && (schema.minimum !== undefined || schema.maximum !== undefined))
    facts.push(`${schema.minimum ?? "−∞"} … ${schema.maximum ?? "∞"}`);
  if (schema.minItems !== undefined || schema.maxItems !== undefined)
    facts.push(`${schema.minItems ?? 0}–${schema.maxItems ?? "∞"} elements`);
  if (schema.pattern) facts.push(schema.pattern);
  const known = facts.filter(Boolean);
  return known.length ? `${name} (${known.join(", ")})` : name;
}

function schemaTable(schema) {
  schema = resolve(schema);
  if (!schema.properties) return element("p", {}, element("code", {}, describe(schema)));
  const required = schema.required || [];
  const rows = Object.entries(schema.properties).map(([name, property]) =>
    element("tr", {},
      element("td", {}, element("code", { className: required.includes(name) ? "required" : "" }, name)),
      element("td", {}, element("code", {}, describe(property)), property.description ? " " + property.description : "")));
  return element("table", {}, element("tbody", {}, ...rows));
}

function parameterRow(parameter) {
  const schema = resolve(parameter.schema || {});
  const values = schema.type === "boolean" ? ["", "true", "false"] : schema.enum ? [""].concat(schema.enum) : null;
  const input = values
    ? element("select", {}, ...values.map((value) => element("option", { value }, String(value))))
    : element("input", { type: "text", spellcheck: false });
  input.dataset.name = parameter.name;
  input.dataset.location = parameter.in;
  input.setAttribute("aria-label", parameter.name);
  return element("tr", {},
    element("td", {}, element("code", { className: parameter.required ? "required" : "" }, parameter.name)),
    element("td", {}, parameter.in),
    element("td", {}, element("code", {}, describe(parameter.schema || {})),
      parameter.description ? element("div", {}, parameter.description) : null),
    element("td", {}, input));
}

function formEncoded(value) {
  const form = new URLSearchParams();
  const add = (name, value) => {
    if (Array.isArray(value)) value.forEach((element) => add(`${name}[]`, element));
    else if (value && typeof value === "object") Object.entries(value).forEach(([key, inner]) => add(`${name}[${key}]`, inner));
    else if (value !== null) form.append(name, value);
  };
  Object.entries(value).forEach(([key, inner]) => add(key, inner));
  return form;
}

function bodyEditor(body) {
  const types = Object.keys(body.content || {});
  const choice = element("select", { ariaLabel: "Content-Type" }, ...types.map((type) => element("option", { value: type }, type)));
  const area = element("textarea", { spellcheck: false, ariaLabel: "Body" });
  const file = element("input", { type: "file", ariaLabel: "File" });
  const schemaView = element("div");
  const show = () => {
    const schema = (body.content[choice.value] || {}).schema || {};
    const isRaw = resolve(schema).format === "binary";
    area.value = isRaw ? "" : JSON.stringify(example(schema), null, 2);
    file.hidden = !isRaw;
    schemaView.replaceChildren(schemaTable(schema));
  };
  choice.addEventListener("change", show);
  if (types.length) show();
  return {
    node: element("div", {}, element("h3", {}, "Body"), choice, schemaView, area, file),
    // Sets the body of the request from the contents of the editor.
    apply(request) {
      if (file.files.length) {
        request.body = file.files[0];
        request.headers.set("Content-Type", choice.value);
      } else if (choice.value === "application/x-www-form-urlencoded") {
        request.body = formEncoded(JSON.parse(area.value));
      } else if (choice.value === "multipart/form-data") {
        request.body = new FormData();
        for (const [name, value] of formEncoded(JSON.parse(area.value))) request.body.append(name, value);
      } else {
        request.body = area.value;
        request.headers.set("Content-Type", choice.value);
      }
    },
  };
}

async function send(operation, method, path, panel, editor, output) {
  const headers = new Headers();
  const query = new URLSearchParams();
  let target = path;
  for (const input of panel.querySelectorAll("[data-name]")) {
    const { name, location } = input.dataset;
    if (location === "path") target = target.replace(`{${name}}`, encodeURIComponent(input.value));
    else if (input.value === "") continue;
    else if (location === "query") query.append(name, input.value);
    else if (location === "header") headers.set(name, input.value);
    else if (location === "cookie") document.cookie = `${name}=${input.value}; path=/; SameSite=Strict`;
  }
  if (query.size) target += "?" + query;
  const token = document.getElementById("token").value;
  if (token && operation.security) headers.set("Authorization", `Bearer ${token}`);
  const request = { method: method.toUpperCase(), headers };
  if (editor) editor.apply(request);
  const start = performance.now();
  const response = await fetch(target, request);
  const body = await response.text();
  const time = Math.round(performance.now() - start);
  let shown = body;
  try { shown = JSON.stringify(JSON.parse(body), null, 2); } catch { /* Not JSON: shown unchanged. */ }
  const fields = [...response.headers].map(([name, value]) => `${name}: ${value}`).join("\n");
  output.replaceChildren(
    element("h3", {}, "Response"),
    element("p", { className: response.ok ? "ok status" : "failed status" }, `${response.status} ${response.statusText} · ${time} ms`),
    element("pre", {}, shown || "(no body)"),
    element("pre", {}, fields));
}

function operationView(path, method, operation) {
  const panel = element("div", { className: "body" });
  const view = element("details", { id: operation.operationId },
    element("summary", {},
      element("span", { className: `method ${method}` }, method.toUpperCase()),
      element("span", { className: "path" }, path),
      element("span", { className: "summary" }, operation.summary || "")),
    panel);
  if (operation.deprecated) view.classList.add("deprecated");
  // Filled only when it is opened, because a large API has hundreds of operations.
  view.addEventListener("toggle", () => { if (view.open && !panel.hasChildNodes()) fill(panel, path, method, operation); });
  return view;
}

function fill(panel, path, method, operation) {
  if (operation.deprecated) panel.append(element("p", { className: "failed" }, "Deprecated."));
  if (operation.description) panel.append(element("p", { className: "text" }, operation.description));
  if (operation.security) {
    const names = operation.security.flatMap((scheme) => Object.keys(scheme)).join(" or ");
    panel.append(element("p", {}, `Requires ${names}.`));
  }
  if ((operation.parameters || []).length) {
    panel.append(element("h3", {}, "Parameters"),
      element("table", {}, element("tbody", {}, ...operation.parameters.map(parameterRow))));
  }
  const editor = operation.requestBody ? bodyEditor(operation.requestBody) : null;
  if (editor) panel.append(editor.node);
  const output = element("div", { className: "output", ariaLive: "polite" });
  const button = element("button", { type: "button" }, "Try it");
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      await send(operation, method, path, panel, editor, output);
    } catch (error) {
      output.replaceChildren(element("p", { className: "failed status" }, String(error)));
    }
    button.disabled = false;
  });
  const rows = Object.entries(operation.responses || {}).map(([status, response]) => {
    const [type, content] = Object.entries(response.content || {})[0] || [];
    return element("tr", {},
      element("td", {}, element("code", {}, status)),
      element("td", {}, response.description || "",
        Object.keys(response.headers || {}).length ? ` Header: ${Object.keys(response.headers).join(", ")}.` : ""),
      element("td", {}, type ? element("code", {}, type) : null, " ",
        content && content.schema ? element("code", {}, describe(content.schema)) : null));
  });
  panel.append(button, output, element("h3", {}, "Responses"), element("table", {}, element("tbody", {}, ...rows)));
}

function show() {
  document.title = api.info.title;
  document.getElementById("title").textContent = api.info.title;
  document.getElementById("version").textContent = api.info.version;
  document.getElementById("token-form").hidden = !(api.components && api.components.securitySchemes);
  const groups = new Map();
  for (const [path, item] of Object.entries(api.paths)) {
    for (const method of methods.filter((method) => item[method])) {
      const tag = (item[method].tags || ["other"])[0];
      if (!groups.has(tag)) groups.set(tag, []);
      groups.get(tag).push([path, method, item[method]]);
    }
  }
  const contents = document.getElementById("contents");
  const operations = document.getElementById("operations");
  operations.replaceChildren();
  for (const [tag, list] of groups) {
    contents.append(element("h2", {}, tag));
    operations.append(element("h2", {}, tag));
    for (const [path, method, operation] of list) {
      contents.append(element("a", { href: "#" + operation.operationId },
        element("span", { className: `method ${method}` }, method.toUpperCase()), element("span", {}, path)));
      operations.append(operationView(path, method, operation));
    }
  }
  openFragment();
}

function openFragment() {
  const view = document.getElementById(decodeURIComponent(location.hash.slice(1)));
  if (view && view.tagName === "DETAILS") { view.open = true; view.scrollIntoView(); }
}

// The token is stored for this browser tab only, and removed when the tab is closed.
const token = document.getElementById("token");
token.value = sessionStorage.getItem("token") || "";
token.addEventListener("input", () => sessionStorage.setItem("token", token.value));
document.getElementById("token-form").addEventListener("submit", (event) => event.preventDefault());
addEventListener("hashchange", openFragment);
fetch("openapi.json").then(async (response) => {
  if (!response.ok) throw new Error(`openapi.json: ${response.status}`);
  api = await response.json();
  show();
}).catch((error) => {
  document.getElementById("operations").replaceChildren(element("p", { className: "failed" }, String(error)));
});
