import ApusHTTP
import ApusJSON
import HTTPTypes
import Logging
import NIOCore
import Synchronization

/// Serves the OpenAPI document at `/openapi.json`, and at `/docs` a page that shows it and can send requests.
final class APIDescription: Sendable {
    private let title: String
    private let version: String
    private let state = Mutex<(router: Router?, document: ByteBuffer?)>((nil, nil))

    init(title: String, version: String) {
        self.title = title
        self.version = version
    }

    /// Sets the router to describe, once all routes are declared.
    func describe(_ router: Router) { state.withLock { $0.router = router } }

    /// Returns the OpenAPI document of a router, and the names of the types that could not be described.
    static func document(
        of router: Router, title: String, version: String
    ) throws -> (document: ByteBuffer, unknownTypes: [String]) {
        let (document, unknown) = OpenAPI.document(of: router, title: title, version: version)
        return (try JSONCoding.encode(document), unknown)
    }

    /// Returns the document, which is created at the first request.
    private func document() throws -> ByteBuffer {
        try state.withLock { state in
            if let document = state.document { return document }
            guard let router = state.router else { return ByteBuffer() }
            let (document, _) = try Self.document(of: router, title: title, version: version)
            state.document = document
            return document
        }
    }

    func addRoutes(to routes: Routes) {
        routes.get("openapi.json") { Response(file: try self.document(), type: "application/json") }.hidden()
        routes.get("docs") { Response(file: PackageResources.docs_html, type: "text/html; charset=utf-8") }.hidden()
        routes.get("docs/docs.js") { Response(file: PackageResources.docs_js, type: "text/javascript") }.hidden()
        routes.get("docs/docs.css") { Response(file: PackageResources.docs_css, type: "text/css") }.hidden()
    }
}

extension Response {
    fileprivate init(file bytes: [UInt8], type: String) { self.init(file: ByteBuffer(bytes: bytes), type: type) }

    /// Creates a response with a content security policy that allows only resources of, and requests to, the same
    /// origin.
    fileprivate init(file bytes: ByteBuffer, type: String) {
        self.init(
            status: .ok,
            headers: [
                .contentType: type, .cacheControl: "no-cache",
                .contentSecurityPolicy:
                    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
            ],
            body: .bytes(bytes))
    }
}
