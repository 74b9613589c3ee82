import Apus

/// Serves the map at `/`.
struct MapModule: Module {
    func configure(_ app: inout AppBuilder) throws {
        app.routes { routes in
            routes.get("") { () -> Response in
                Response(
                    status: .ok,
                    headers: [
                        .contentType: "text/html; charset=utf-8",
                        .cacheControl: "no-cache",
                        .contentSecurityPolicy:
                            "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; connect-src 'self'",
                    ],
                    body: .bytes(ByteBuffer(bytes: PackageResources.map_html)))
            }.hidden()
        }
    }
}
