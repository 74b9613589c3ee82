import Foundation
import Geography
import Testing

@Suite struct GeofenceMonitorTests {
    private typealias Event = GeofenceEvent<String>

    /// Metres east of Lisbon.
    private func east(_ metres: Double) -> Place { lisbon.destination(distance: metres, bearing: 90) }

    private func circle(at metres: Double = 0, radius: Double) throws -> Geofence {
        .circle(try Circle(center: east(metres), radius: radius))
    }

    /// A monitor of one fence around Lisbon that announces no arrival.
    private func monitor(radius: Double) throws -> GeofenceMonitor<String> {
        var configuration = GeofenceConfiguration()
        (configuration.arrivingDistance, configuration.arrivingTime) = (nil, nil)
        var monitor = GeofenceMonitor<String>(configuration: configuration)
        monitor.watch(try circle(radius: radius), as: "shop")
        return monitor
    }

    private func kinds(_ events: [Event]) -> [GeofenceEventKind] { events.map(\.kind) }

    @Test func `A driver enters, stays and exits, once each, with times on the border`() throws {
        var monitor = try monitor(radius: 100)
        #expect(monitor.isInside("shop") == nil)
        #expect(monitor.receive(Fix(east(-300), at: 0)).isEmpty)
        #expect(monitor.isInside("shop") == false)
        let enter = monitor.receive(Fix(east(-50), at: 25))
        #expect(kinds(enter) == [.enter])
        #expect(abs(try #require(enter.first).time.timeIntervalSince(noon) - 20) < 0.01)
        #expect(enter.first?.isInterpolated == true)
        #expect(monitor.receive(Fix(east(0), at: 100)).isEmpty)
        let exit = monitor.receive(Fix(east(200), at: 120))
        #expect(kinds(exit) == [.exit])
        #expect(abs(try #require(exit.first).time.timeIntervalSince(noon) - 110) < 0.01)
        #expect(monitor.isInside("shop") == false)
    }

    @Test func `A fast vehicle that passes a small fence between two fixes enters and exits it`() throws {
        var monitor = try monitor(radius: 30)
        #expect(monitor.receive(Fix(east(-300), at: 0)).isEmpty)
        let events = monitor.receive(Fix(east(300), at: 20))
        #expect(kinds(events) == [.enter, .exit])
        let times = events.map { $0.time.timeIntervalSince(noon) }
        #expect(abs(times[0] - 9) < 0.01 && abs(times[1] - 11) < 0.01)
        #expect(monitor.receive(Fix(east(900), at: 40)).isEmpty)
    }

    @Test func `Jitter at the border causes one entry and no exit`() throws {
        var monitor = try monitor(radius: 100)
        var events: [Event] = []
        for second in 0..<200 {
            let offset = [15.0, -12, 4, -3, 19, -19, 8][second % 7]
            events += monitor.receive(Fix(east(100 + offset), at: Double(second)))
        }
        #expect(kinds(events) == [.enter])
    }

    @Test func `An inaccurate fix must be further away to be an exit, and a useless one has no effect`() throws {
        var monitor = try monitor(radius: 100)
        #expect(kinds(monitor.receive(Fix(east(0), at: 0))) == [.enter])
        #expect(monitor.receive(Fix(east(180), at: 10, accuracy: 90)).isEmpty)
        #expect(monitor.receive(Fix(east(5000), at: 20, accuracy: 1500)).isEmpty)
        #expect(monitor.receive(Fix(east(10), at: 30, accuracy: 5)).isEmpty)
        #expect(kinds(monitor.receive(Fix(east(180), at: 40, accuracy: 5))) == [.exit])
    }

    @Test func `An exit has the time of the border, even if it is certain only later`() throws {
        var monitor = try monitor(radius: 100)
        _ = monitor.receive(Fix(east(90), at: 0))
        #expect(monitor.receive(Fix(east(110), at: 2)).isEmpty)
        #expect(monitor.isInside("shop") == true)
        let exit = monitor.receive(Fix(east(130), at: 60))
        #expect(kinds(exit) == [.exit])
        #expect(abs(try #require(exit.first).time.timeIntervalSince(noon) - 1) < 0.01)
    }

    @Test func `Fixes that are late or repeated have no effect`() throws {
        var monitor = try monitor(radius: 100)
        _ = monitor.receive(Fix(east(0), at: 0))
        #expect(kinds(monitor.receive(Fix(east(500), at: 100))) == [.exit])
        #expect(monitor.receive(Fix(east(0), at: 50)).isEmpty)
        #expect(monitor.receive(Fix(east(0), at: 100)).isEmpty)
        #expect(monitor.isInside("shop") == false)
    }

    @Test func `After a long gap the change counts, at the time of the fix, and the way does not`() throws {
        var monitor = try monitor(radius: 100)
        _ = monitor.receive(Fix(east(0), at: 0))
        let exit = monitor.receive(Fix(east(500), at: 7200))
        #expect(kinds(exit) == [.exit] && exit.first?.time == noon + 7200 && exit.first?.isInterpolated == false)
        #expect(monitor.receive(Fix(east(-500), at: 14_400)).isEmpty)
        #expect(kinds(monitor.receive(Fix(east(0), at: 21_600))) == [.enter])
    }

    @Test func `A driver who leaves one fence for another exits before entering`() throws {
        var monitor = try monitor(radius: 100)
        monitor.watch(try circle(at: 200, radius: 100), as: "home")
        _ = monitor.receive(Fix(east(0), at: 0))
        let events = monitor.receive(Fix(east(200), at: 20))
        #expect(events.map(\.kind) == [.exit, .enter] || events.map(\.fence) == ["home", "shop"])
        // Overlapping fences are independent of each other, and at the same time an exit comes first.
        var teleport = try self.monitor(radius: 100)
        teleport.watch(try circle(at: 2000, radius: 100), as: "home")
        _ = teleport.receive(Fix(east(2000), at: 0))
        #expect(teleport.receive(Fix(east(0), at: 1000)).map(\.fence) == ["home", "shop"])
    }

    @Test func `Arriving is announced once per approach, by distance`() throws {
        var configuration = GeofenceConfiguration()
        configuration.arrivingTime = nil
        var monitor = GeofenceMonitor<String>(configuration: configuration)
        monitor.watch(try circle(radius: 50), as: "shop")
        var events: [Event] = []
        // There, away, and there again.
        let metres = Array(stride(from: 1000.0, through: 0, by: -50)) + Array(stride(from: 0, through: 800, by: 50))
        for (index, distance) in (metres + metres).enumerated() {
            events += monitor.receive(Fix(east(distance), at: Double(index * 5)))
        }
        #expect(kinds(events) == [.arriving, .enter, .exit, .arriving, .enter, .exit])
        #expect(events.first?.time == noon + 70)
    }

    @Test func `Arriving is announced by time while approaching`() throws {
        var configuration = GeofenceConfiguration()
        (configuration.arrivingDistance, configuration.arrivingTime) = (nil, 60)
        var monitor = GeofenceMonitor<String>(configuration: configuration)
        monitor.watch(try circle(radius: 50), as: "shop")
        var events: [Event] = []
        for second in stride(from: 0, to: 400, by: 5) {
            events += monitor.receive(Fix(east(3000 - 10 * Double(second)), at: Double(second)))
        }
        #expect(kinds(events) == [.arriving, .enter, .exit])
        // At 10 m/s, the border is 60 s away at 650 m from the centre, after 235 s.
        #expect(abs(try #require(events.first).time.timeIntervalSince(noon) - 235) <= 5)
    }

    @Test func `A driver who stands near, moves away or drives past is not arriving`() throws {
        let jitter = [3.0, -4, 1, 7, -6]
        let standing = (0..<100).map { east(200 + jitter[$0 % 5]) }
        let leaving = (0..<100).map { east(200 + 10 * Double($0)) }
        let road = lisbon.destination(distance: 400, bearing: 0)
        let passing = (-100..<100).map { road.destination(distance: 10 * Double($0), bearing: 90) }
        var configuration = GeofenceConfiguration()
        configuration.arrivingTime = nil
        for places in [standing, leaving, passing] {
            var monitor = GeofenceMonitor<String>(configuration: configuration)
            monitor.watch(try circle(radius: 50), as: "shop")
            let events = places.enumerated().flatMap { monitor.receive(Fix($1, at: Double($0))) }
            #expect(events.isEmpty)
        }
    }

    @Test func `Jitter along the border of a corridor causes one entry`() throws {
        var monitor = GeofenceMonitor<String>()
        monitor.watch(.corridor(try Corridor(line: [east(-2000), east(0), east(2000)], width: 100)), as: "road")
        let events = (0..<200).flatMap { second in
            let side = 50 + [15.0, -12, 4, -3, 19, -19, 8][second % 7]
            let place = east(Double(second) * 10 - 1000).destination(distance: side, bearing: 0)
            return monitor.receive(Fix(place, at: Double(second)))
        }
        #expect(kinds(events) == [.enter])
    }

    @Test func `An area on the antimeridian is entered from the east and left to the west`() throws {
        let area = try Polygon(outer: [
            Place(-17, 179.999), Place(-17, -179.999), Place(-16.99, -179.999), Place(-16.99, 179.999),
        ])
        var monitor = GeofenceMonitor<String>()
        monitor.watch(.polygon(area), as: "island")
        let longitudes = [-179.99, -179.995, -179.9995, 180, 179.9995, 179.995]
        let events = longitudes.enumerated().flatMap { monitor.receive(Fix(Place(-16.995, $1), at: Double($0) * 60)) }
        #expect(kinds(events).filter { $0 != .arriving } == [.enter, .exit])
        let last = try #require(events.last)
        #expect(abs(last.time.timeIntervalSince(noon) - 246.67) < 0.1)
    }

    @Test func `A fence that is no longer watched has no events`() throws {
        var monitor = try monitor(radius: 100)
        monitor.stopWatching("shop")
        #expect(monitor.receive(Fix(lisbon, at: 0)).isEmpty)
        #expect(monitor.isInside("shop") == nil)
    }
}
