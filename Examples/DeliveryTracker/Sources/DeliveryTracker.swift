import Apus
import ApusSQLite

/// A real-time delivery tracker: customers order, drivers deliver, and whoever is concerned watches it happen.
@main
struct DeliveryTracker {
    static func main() async { await app.run() }

    static var app: App {
        App("delivery-tracker", engines: SQLiteEngine()) {
            AccountsModule()
            NotificationsModule()
            OrdersModule()
            PaymentsModule()
            TrackingModule()
            MapModule()
            SimulatorModule()
        }
    }
}
