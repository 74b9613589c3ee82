import Apus
import ApusPostgres
import ApusRedis
import ApusSQLite

/// A real-time delivery tracker: customers place orders, drivers deliver them, and customers and dispatchers follow the
/// deliveries live.
@main
struct DeliveryTracker {
    static func main() async { await app.run() }

    static var app: App {
        App("delivery-tracker", engines: SQLiteEngine(), PostgresEngine(), sharing: RedisSharing()) {
            AccountsModule()
            NotificationsModule()
            OrdersModule()
            PaymentsModule()
            TrackingModule()
            MapModule()
            OperationsModule()
            SimulatorModule()
        }
    }
}
