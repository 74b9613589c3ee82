import Apus

/// Simulates drivers and a customer, for demonstrations. Disabled unless `simulator.enabled` is set.
struct SimulatorModule: Module {
    func configure(_ app: inout AppBuilder) throws {
        let drivers = app.settings.int("simulator.drivers", default: 5, in: 1...100)
        let tick = app.settings.duration("simulator.tick", default: .seconds(1), atLeast: .milliseconds(10))
        guard app.settings.bool("simulator.enabled", default: false) else { return }
        app.services.add {
            Simulator(
                drivers: drivers, tick: tick, accounts: try $0.resolve(), orders: try $0.resolve(),
                payments: try $0.resolve(), signature: try $0.resolve(), tracking: try $0.resolve(),
                clock: try $0.resolve(), logger: try $0.resolve())
        }
        app.routes { routes, container in
            let accounts: AccountService = try container.resolve()
            // Requires no authentication: anyone who can reach a simulated service may watch it.
            routes.post("v1/simulator/session") {
                let account = try await accounts.findOrRegister(
                    email: "dispatcher@simulator.example", name: "Dispatcher", role: .dispatcher)
                return try await accounts.session(for: account)
            }
            .summary(
                "Log in as a dispatcher.", "Exists only while the simulator is enabled. Requires no authentication.")
        }
    }
}
