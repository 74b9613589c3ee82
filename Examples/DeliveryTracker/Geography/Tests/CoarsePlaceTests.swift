import Geography
import Testing

@Suite struct CoarsePlaceTests {
    private static let anchors = [
        lisbon, Place(89.9999, 12), Place(90, 0), Place(-90, 180), Place(-17, 179.9999), Place(-17, -180), Place(0, 0),
    ]

    @Test(arguments: anchors)
    func `A coarse place is at most a cell away, and is its own coarse place`(place: Place) {
        let coarse = place.coarse()
        #expect(place.distance(to: coarse) <= 1000)
        #expect(coarse.coarse() == coarse)
    }

    @Test(arguments: anchors)
    func `All places of a cell have the same coarse place`(place: Place) {
        let center = place.coarse()
        for bearing in stride(from: 0.0, to: 360, by: 15) {
            let neighbor = center.destination(distance: 400, bearing: bearing)
            #expect(neighbor.coarse() == center)
        }
    }

    @Test func `Places that differ by more than a cell have different coarse places`() {
        for bearing in stride(from: 0.0, to: 360, by: 30) {
            #expect(lisbon.destination(distance: 1500, bearing: bearing).coarse() != lisbon.coarse())
        }
    }

    @Test func `Both names of the antimeridian and all longitudes of a pole are in one cell`() {
        #expect(Place(40, 180).coarse() == Place(40, -180).coarse())
        let polar = Set([0, 17, -90, 179].map { Place(90, $0).coarse(to: 5000).latitude })
        #expect(polar.count == 1)
    }

    @Test(arguments: [Double.nan, .infinity, 0, -5, 1e300])
    func `An absurd size of cells is limited`(size: Double) {
        let coarse = lisbon.coarse(to: size)
        #expect(coarse.coarse(to: size) == coarse)
    }
}
