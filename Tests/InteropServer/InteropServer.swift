import Apus
import ApusWebSocket
import InteropService

/// The server for the clients in Tests/Clients: `interop-server --http-port=8080`.
@main
struct InteropServer {
    static func main() async { await App("interop-server") { InteropModule() }.run() }
}

struct InteropModule: Module {
    func configure(_ app: inout AppBuilder) {
        app.grpc.add(InteropService())
        app.grpc.add(OrderService())
        app.routes { routes in
            routes.get("hello") { "hello" }
            routes.webSocket("echo") { socket in
                for try await message in socket { try await socket.send(message) }
            }
        }
    }
}
