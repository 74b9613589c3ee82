import Apus

struct NotificationsModule: Module {
    func configure(_ app: inout AppBuilder) throws {
        app.provide((any PushGateway).self) { _ in PrintingPushGateway() }
        app.workers.add { SendPushWorker(gateway: try $0.resolve()) }
    }
}
